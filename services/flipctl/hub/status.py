"""How a hub on AWS is: what its stack's outputs name is asked for at AWS and dialled."""

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from cryptography import x509

from flip_hub.aws import AwsError
from flipctl.doctor import Finding
from flipctl.hub.aws import Aws

SOON = timedelta(days=30)
DIAL_SECONDS = 10


def look(outputs: dict[str, Any], aws: Aws, say: Callable[[str], None]) -> list[Finding]:
    """A finding for each endpoint, certificate, service, target, secret, for the database and the alarms.

    Raises:
        HubError: AWS cannot be asked at all, as without boto3.
    """
    found: list[Finding] = []
    for check in (_api, _certificates, _nets, _services, _targets, _database, _secrets, _alarms):
        say(check.__name__.strip("_"))
        try:
            found += check(outputs, aws)
        except AwsError as error:
            remedy = "use credentials that may read the account (the role ci-plan may), or try again"
            found.append(Finding(check.__name__.strip("_"), "fault", str(error), remedy))
    return found


def _api(outputs: dict[str, Any], _: Aws) -> Iterator[Finding]:
    url = f"{outputs['url']}/api/health"
    try:
        answer = httpx.get(url, timeout=DIAL_SECONDS)
        well = answer.status_code == httpx.codes.OK and answer.json() == {"status": "ok"}
        said = "answers" if well else f"answers with status {answer.status_code}"
    except (httpx.HTTPError, json.JSONDecodeError) as error:
        well, said = False, f"does not answer as the hub does: {error}"
    remedy = "" if well else "look at the rows of services and targets; then at the hub's log group"
    yield Finding("API", "ok" if well else "fault", f"{url} {said}", remedy)


def _certificates(outputs: dict[str, Any], aws: Aws) -> Iterator[Finding]:
    for place, region in (("edge", "us-east-1"), ("origin", outputs["region"])):
        arn = outputs["certificates"][place]
        told = aws("acm", "describe_certificate", region, CertificateArn=arn)["Certificate"]
        if told["Status"] != "ISSUED":
            remedy = "check that the zone's name servers are those that the domain's registrar has"
            yield Finding(f"certificate ({place})", "fault", f"{told['Status']}: {arn}", remedy)
        else:
            remedy = (
                "AWS renews it while its record is in the zone: put the record of `aws acm describe-certificate` back"
            )
            yield _until(f"certificate ({place})", told["NotAfter"], remedy)


def _nets(outputs: dict[str, Any], _: Aws) -> Iterator[Finding]:
    for net, place in outputs["nets"].items():
        name, address = f"net {net}", f"{place['host']}:{place['port']}"
        try:
            # Whose certificate it is, trusts check; here its end is looked at.
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with (
                socket.create_connection((place["host"], place["port"]), DIAL_SECONDS) as plain,
                context.wrap_socket(plain, server_hostname=place["host"]) as secured,
            ):
                certificate = x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")
        except OSError as error:
            yield Finding(
                name, "fault", f"{address} does not answer with TLS: {error}", "look at its target and service"
            )
            continue
        yield Finding(name, "ok", f"{address} answers")
        yield _until(f"{name}, certificate", certificate.not_valid_after_utc, "flipctl hub secrets renews it")


def _until(check: str, end: datetime, remedy: str) -> Finding:
    left = end - datetime.now(UTC)
    if left > SOON:
        return Finding(check, "ok", f"until {end:%Y-%m-%d}")
    return Finding(check, "warning" if left > timedelta() else "fault", f"ends {end:%Y-%m-%d}", remedy)


def _services(outputs: dict[str, Any], aws: Aws) -> Iterator[Finding]:
    cluster = outputs["cluster"]["name"]
    for name, service_name in outputs["cluster"]["services"].items():
        told = aws("ecs", "describe_services", cluster=cluster, services=[service_name])["services"]
        service = next((service for service in told if service["status"] == "ACTIVE"), None)
        if service is None:
            yield Finding(f"service {name}", "fault", f"{service_name} is not there", "flipctl hub apply makes it")
            continue
        running, desired = service["runningCount"], service["desiredCount"]
        well = running >= desired > 0
        remedy = (
            ""
            if well
            else f"why, say its events: aws ecs describe-services --cluster {cluster} --services {service_name}"
        )
        yield Finding(f"service {name}", "ok" if well else "fault", f"{running} of {desired} tasks run", remedy)


def _targets(outputs: dict[str, Any], aws: Aws) -> Iterator[Finding]:
    groups = {"hub": outputs["target_groups"]["hub"]}
    groups |= {f"net {net}": arn for net, arn in outputs["target_groups"]["nets"].items()}
    for name, arn in groups.items():
        told = aws("elbv2", "describe_target_health", TargetGroupArn=arn)
        states = [target["TargetHealth"]["State"] for target in told["TargetHealthDescriptions"]]
        healthy = states.count("healthy")
        others = ", ".join(sorted({state for state in states if state != "healthy"}))
        said = f"{healthy} healthy" + (f", others {others}" if others else "")
        remedy = "" if healthy else "its tasks do not run or do not answer: see the service and its log group"
        yield Finding(f"target of {name}", "ok" if healthy else "fault", said, remedy)


def _database(outputs: dict[str, Any], aws: Aws) -> Iterator[Finding]:
    name = outputs["database"]
    try:
        (told,) = aws("rds", "describe_db_instances", DBInstanceIdentifier=name)["DBInstances"]
    except AwsError as error:
        if error.code != "DBInstanceNotFound":
            raise
        yield Finding("database", "fault", f"{name} is not there", "restore it: docs/hub-aws.md")
        return
    well = told["DBInstanceStatus"] in ("available", "backing-up")
    remedy = "" if well else "why, say its events: aws rds describe-events"
    said = f"{name} is {told['DBInstanceStatus']}, PostgreSQL {told['EngineVersion']}, {told['AllocatedStorage']} GiB"
    yield Finding("database", "ok" if well else "fault", said, remedy)


def _secrets(outputs: dict[str, Any], aws: Aws) -> Iterator[Finding]:
    empty = []
    for name, arn in outputs["secret_arns"].items():
        told = aws("secretsmanager", "describe_secret", SecretId=arn)
        if not any("AWSCURRENT" in stages for stages in told.get("VersionIdsToStages", {}).values()):
            empty.append(name)
    said = f"without a value: {', '.join(empty)}" if empty else f"all {len(outputs['secret_arns'])} have values"
    yield Finding("secrets", "fault" if empty else "ok", said, "flipctl hub secrets makes them" if empty else "")


def _alarms(outputs: dict[str, Any], aws: Aws) -> Iterator[Finding]:
    for region in dict.fromkeys((outputs["region"], "us-east-1")):
        told = aws("cloudwatch", "describe_alarms", region, StateValue="ALARM", AlarmNamePrefix=f"{outputs['name']}-")
        for alarm in told.get("MetricAlarms", []):
            what = alarm.get("AlarmDescription", "")
            yield Finding(
                "alarm", "fault", f"{alarm['AlarmName']} since {alarm['StateUpdatedTimestamp']:%F %H:%M}", what
            )
