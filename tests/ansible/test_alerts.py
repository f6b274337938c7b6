"""The alert rules of flip_observability do what they say: promtool runs their tests, and every rule has some."""

import re
from pathlib import Path
from typing import Any

import pytest
from ansible_tree import ROOT, Promtool, parsed

FILES = ROOT / "ansible/roles/flip_observability/files"
TESTS = ROOT / "tests/ansible/alerts_test.yml"
RULES = {rule["alert"]: rule for group in parsed(FILES / "alerts.yml")["groups"] for rule in group["rules"]}
CASES = [case for test in parsed(TESTS)["tests"] for case in test["alert_rule_test"]]


def test_the_rules_pass_their_tests(promtool: Promtool) -> None:
    assert "SUCCESS" in promtool("test", "rules", TESTS)


def test_the_configuration_is_prometheus_own(promtool: Promtool) -> None:
    assert f"{len(RULES)} rules found" in promtool("check", "config", FILES / "prometheus.yml")


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_seen_to_fire_and_not_to_fire(name: str) -> None:
    fired = [bool(case["exp_alerts"]) for case in CASES if case["alertname"] == name]
    assert set(fired) == {True, False}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_says_how_bad_it_is_and_what_to_do(name: str) -> None:
    rule: dict[str, Any] = RULES[name]
    assert rule["labels"]["severity"] in ("fault", "warning")
    assert rule["annotations"].keys() == {"summary", "remedy"}
    assert rule["for"], "one bad look is no reason to wake anybody"


@pytest.mark.parametrize("lasting", ["40d", "0s"])
def test_each_rule_fails_its_tests_when_it_never_fires_or_at_once(
    lasting: str, promtool: Promtool, tmp_path: Path
) -> None:
    """A test that would not notice a changed rule is none."""
    rules = (FILES / "alerts.yml").read_text(encoding="utf-8")
    (tmp_path / "alerts.yml").write_text(re.sub(r"for: \w+", f"for: {lasting}", rules), encoding="utf-8")
    tests = TESTS.read_text(encoding="utf-8").replace(parsed(TESTS)["rule_files"][0], "alerts.yml")
    (tmp_path / "tests.yml").write_text(tests, encoding="utf-8")
    with pytest.raises(AssertionError) as failed:
        promtool("test", "rules", tmp_path / "tests.yml")
    assert set(re.findall(r"alertname: (\w+)", str(failed.value))) == set(RULES)


def test_the_rules_know_the_checks_by_their_names() -> None:
    """What `flipctl status` calls a thing the rules must call alike, or they are blind."""
    status = "".join(
        file.read_text(encoding="utf-8")
        for file in [*(ROOT / "services/flipctl/status").glob("*.py"), ROOT / "services/flipctl/doctor.py"]
    )
    said = set(re.findall(r'(?:Finding\(|check_tls\(|name(?:, log)? = |_validity\()\s*f?"([^"{]+)', status))
    named = " ".join(matcher for rule in RULES.values() for matcher in re.findall(r'check!?=~?"([^"]+)"', rule["expr"]))
    for name in ("backup", "heartbeat", "hub", "clock", "FL connection", "FL server", "kit", "kit's files"):
        assert name in said
        assert re.search(rf"(^|[ |]){name}([ |]|$)", named.replace("FL .+", "FL connection|FL server")), name
    assert {"certificate ", "disk of "} <= said
    assert 'f"{one.project}/{one.service} on port {port}"' in status
