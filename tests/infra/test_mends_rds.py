"""What the stand-in's mends of RDS restore; without its mend each of these fails."""

import uuid
from typing import Any

import boto3
import pytest


@pytest.fixture
def rds(tofu_env: dict[str, str]) -> Any:
    return boto3.client(
        "rds",
        endpoint_url=tofu_env["AWS_ENDPOINT_URL"],
        region_name="eu-west-2",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def test_instances_are_told_apart_and_keep_their_insights(rds: Any) -> None:
    made = [
        rds.create_db_instance(
            DBInstanceIdentifier=f"mend-{uuid.uuid4()}",
            DBInstanceClass="db.t4g.medium",
            Engine="postgres",
            AllocatedStorage=20,
            MasterUsername="flip",
            ManageMasterUserPassword=True,
            EnablePerformanceInsights=True,
            PerformanceInsightsRetentionPeriod=7,
        )["DBInstance"]
        for _ in range(2)
    ]
    assert made[0]["DbiResourceId"] != made[1]["DbiResourceId"]
    assert [(one["PerformanceInsightsEnabled"], one["PerformanceInsightsRetentionPeriod"]) for one in made] == [
        (True, 7)
    ] * 2


def test_parameters_that_were_set_are_the_users(rds: Any) -> None:
    name = f"mend-{uuid.uuid4()}"
    rds.create_db_parameter_group(DBParameterGroupName=name, DBParameterGroupFamily="postgres17", Description="mend")
    wanted = {"ParameterName": "log_statement", "ParameterValue": "ddl", "ApplyMethod": "pending-reboot"}
    rds.modify_db_parameter_group(DBParameterGroupName=name, Parameters=[wanted])
    (told,) = rds.describe_db_parameters(DBParameterGroupName=name, Source="user")["Parameters"]
    assert told == wanted | {"Source": "user"}
