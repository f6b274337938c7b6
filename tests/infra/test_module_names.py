"""The names that modules make fit AWS's limits, for the longest project and environment that they take."""

import importlib
import json
import re
import subprocess
from pathlib import Path

from tofu_plans import resources

from flipctl.hub.tofu import program

MODULES = Path(__file__).resolve().parents[2] / "infra/tofu/modules"
LONGEST = {"project": "a-project-of-16c", "environment": "env-of-10c"}
TRIED = ("alarm_topic", "backup", "database", "ec2_host", "keys", "network", "secrets")
# What AWS takes as a name, by type of resource and attribute, from its API references.
LIMITS = {
    ("aws_backup_plan", "name"): r"[A-Za-z0-9_.-]{1,50}",
    ("aws_backup_selection", "name"): r"[A-Za-z0-9_.-]{1,50}",
    ("aws_backup_vault", "name"): r"[A-Za-z0-9_-]{2,50}",
    ("aws_cloudwatch_metric_alarm", "alarm_name"): r"[ -~]{1,255}",
    ("aws_cloudwatch_log_group", "name"): r"[A-Za-z0-9_/.#-]{1,512}",
    ("aws_db_instance", "identifier"): r"(?!.*--)[a-z][a-z0-9-]{0,61}[a-z0-9]",
    ("aws_db_instance", "db_name"): r"[a-z][a-z0-9_]{0,62}",
    ("aws_db_parameter_group", "name"): r"(?!.*--)[a-z][a-z0-9-]{0,253}[a-z0-9]",
    ("aws_db_subnet_group", "name"): r"[a-z0-9 _.-]{1,255}",
    ("aws_iam_instance_profile", "name"): r"[\w+=,.@-]{1,128}",
    ("aws_iam_role", "name"): r"[\w+=,.@-]{1,64}",
    ("aws_iam_role_policy", "name"): r"[\w+=,.@-]{1,128}",
    ("aws_kms_alias", "name"): r"alias/(?!aws/)[A-Za-z0-9/_-]{1,250}",
    ("aws_secretsmanager_secret", "name"): r"(?!.*-[A-Za-z0-9]{6}$)[A-Za-z0-9/_+=.@-]{1,512}",
    ("aws_security_group", "name"): r"(?!sg-)[A-Za-z0-9 ._:/()#,@\[\]+=&;{}!$*-]{1,255}",
    ("aws_sns_topic", "name"): r"[\w-]{1,256}",
}


def test_names_fit_for_the_longest_project_and_environment(tofu_env: dict[str, str], tmp_path: Path) -> None:
    values = {name: importlib.import_module(f"tofu_values.{name}").GOOD | LONGEST for name in TRIED}
    stack = {
        "provider": {"aws": {"region": "eu-west-2"}},
        "module": {name: {"source": str(MODULES / name), **good} for name, good in values.items()},
    }
    (tmp_path / "main.tf.json").write_text(json.dumps(stack))

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [program(), *arguments], cwd=tmp_path, env=tofu_env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("init")
    run("plan", "-out=plan")
    tried = set()
    for address, planned in resources(json.loads(run("show", "-json", "plan"))).items():
        kind = address.split(".")[2]
        for attribute in ("name", "identifier", "db_name", "alarm_name"):
            if attribute in planned:
                tried.add((kind, attribute))
                assert (kind, attribute) in LIMITS, f"add what AWS takes as {attribute} of {kind}"
                assert re.fullmatch(LIMITS[kind, attribute], planned[attribute]), address
    assert tried == set(LIMITS)
