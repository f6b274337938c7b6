"""The contributor's federation as it is described to Docker, without Docker."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from flip_common.keys import PayloadKey, generate_api_key
from flipctl.cli import app
from flipctl.demo.progress import Progress
from flipctl.dev import DevError, layout
from flipctl.dev.federation import BASE_SECRETS, TRUST_SECRETS, Federation
from flipctl.dev.layout import HUB, PARTS, PROGRAMS, TRUSTS, Plan
from flipctl.doctor import Service, settings_class

ROOT = Path(__file__).resolve().parents[3]
VERBS = """
    build up down restart clean ci up-no-trust up-trusts central-hub restart-no-trust create-networks up-local-trust
    debug debug-off debug-all debug-off-all generate-trust-api-keys generate-internal-service-key unit_test tests
"""
CLASSES = {
    "hub": Service.HUB,
    "fl-server": Service.FL_SERVER,
    "data-access-api": Service.DATA_ACCESS,
    "imaging-api": Service.IMAGING,
    "fl-client": Service.FL_CLIENT,
    "trust-api": Service.TRUST_API,
}


@pytest.fixture
def secrets() -> dict[str, str]:
    made = {name: make() for name, make in BASE_SECRETS.items()}
    for part in TRUSTS:
        prefix = layout.prefix_of(part)
        made |= {f"{prefix}{name}": make() for name, make in TRUST_SECRETS.items()}
        made[f"{prefix}TRUST_ID"] = f"00000000-0000-0000-0000-00000000000{TRUSTS.index(part)}"
        made[f"{prefix}TRUST_API_KEY"] = generate_api_key()
        made[f"{prefix}AES_KEY_BASE64"] = PayloadKey.generate().to_base64()
    return made


@pytest.fixture
def plan(tmp_path: Path, secrets: dict[str, str]) -> Plan:
    return Plan(tmp_path, tmp_path / "dicom", "1.2.3", secrets, {}, ROOT / "services", tmp_path / "debugpy")


def every_service(plan: Plan) -> dict[str, dict[str, Any]]:
    return {f"{part}/{name}": made for part in PARTS for name, made in layout.compose(part, plan)["services"].items()}


@pytest.mark.parametrize("part", PARTS)
def test_settings_are_those_the_services_take(part: str, plan: Plan, tmp_path: Path) -> None:
    given = layout.settings(part, plan)
    assert sorted(given) == sorted(layout.services(part))
    (tmp_path / "ca.pem").touch()
    for service, values in given.items():
        # Files that a container has at /config are looked for by some settings.
        text = "".join(f"{name}={value}\n" for name, value in values.items()).replace("/config/", f"{tmp_path}/")
        for name in layout.certificate_files(service):
            (tmp_path / name).touch()
        env = tmp_path / f"{service}.env"
        env.write_text(text)
        settings_class(CLASSES[service]).load(env)


def test_no_trust_is_given_anothers_secret(plan: Plan, secrets: dict[str, str]) -> None:
    for part, other in (TRUSTS, TRUSTS[::-1]):
        said = str(layout.settings(part, plan)) + str(layout.settings(HUB, plan))
        others = [value for name, value in secrets.items() if name.startswith(layout.prefix_of(other))]
        assert others
        assert not [value for value in others if value in said]


def test_containers_are_hardened_and_ports_are_this_machines_alone(plan: Plan) -> None:
    for name, service in every_service(plan).items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert not any(value in str(service) for value in plan.secrets.values()), f"{name}: a secret is in Compose"
    assert list(layout.compose(HUB, plan)["services"]["hub"]["ports"]) == ["127.0.0.1:8000:8000"]


def test_a_debugged_service_waits_with_the_checkouts_code(plan: Plan) -> None:
    waiting = {"Trust_2/trust-api": 5681}
    changed = Plan(**(vars(plan) | {"debugged": waiting}))
    before, after = every_service(plan), every_service(changed)
    assert [name for name in after if after[name] != before[name]] == ["Trust_2/trust-api"]
    service = after["Trust_2/trust-api"]
    assert "--wait-for-client" in service["entrypoint"]
    assert service["entrypoint"][-2:] == ["-m", "flip_trust.api"]
    assert "127.0.0.1:5681:5678" in service["ports"]
    assert f"{ROOT / 'services'}:/code:ro" in service["volumes"]


def test_other_settings_are_another_container(plan: Plan, secrets: dict[str, str]) -> None:
    before = every_service(plan)
    renewed = Plan(**(vars(plan) | {"secrets": secrets | {"TRUST_2_TRUST_API_KEY": generate_api_key()}}))
    after = every_service(renewed)
    assert [name for name in after if after[name] != before[name]] == ["Trust_2/trust-api"]


def test_programs_are_those_of_the_images(plan: Plan) -> None:
    for name, (module, *_) in PROGRAMS.items():
        dockerfile = (ROOT / "images" / name / "Dockerfile").read_text()
        assert f'ENTRYPOINT ["python", "-m", "{module}"]' in dockerfile


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("hub", "hub/hub"),
        ("fl-server", "hub/fl-server"),
        ("trust-api", "Trust_1/trust-api"),
        ("Trust_2/imaging-api", "Trust_2/imaging-api"),
    ],
)
def test_a_service_is_found_by_its_name(given: str, expected: str) -> None:
    assert "/".join(layout.resolve(given)) == expected


@pytest.mark.parametrize("given", ["nothing", "hub/trust-api", "Trust_3/trust-api", "Trust_1/hub", "pacs"])
def test_what_is_no_service_is_refused_by_name(given: str) -> None:
    with pytest.raises(KeyError):
        layout.resolve(given)
    done = CliRunner().invoke(app, ["dev", "debug", given])
    assert (done.exit_code, "Trust_1/trust-api" in done.output) == (2, True)


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["dev", "down", "Trust_9"])
    assert (done.exit_code, "Trust_9" in done.output) == (2, True)


def federation(tmp_path: Path) -> Federation:
    return Federation(tmp_path / "dev", ROOT / "services", "1.2.3", Progress())


def test_two_at_a_time_are_kept_apart(tmp_path: Path) -> None:
    with federation(tmp_path).alone(), pytest.raises(DevError, match="another"), federation(tmp_path).alone():
        pass
    assert (tmp_path / "dev").stat().st_mode & 0o777 == 0o700


def test_data_of_one_part_alone_are_not_removed(tmp_path: Path) -> None:
    with pytest.raises(DevError, match="--data"):
        federation(tmp_path).down(["Trust_1"], data=True)


@pytest.mark.parametrize("verb", VERBS.split())
def test_the_makefile_has_the_verbs_of_flip(verb: str) -> None:
    command = ["make", "--dry-run", verb, "SERVICE=hub"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr


def test_compose_files_are_yaml(plan: Plan) -> None:
    for part in PARTS:
        made = layout.compose(part, plan)
        assert yaml.safe_load(yaml.safe_dump(made)) == made
