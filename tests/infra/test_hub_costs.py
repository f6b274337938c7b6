"""What a hub costs: every resource has a price or a reason why it has none, and the page says the sums."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hub_verbs import FLIPCTL, PROD, Hub
from typer.testing import CliRunner

from flipctl.cli import app
from flipctl.hub import HubError
from flipctl.hub.costs import PRICED, PRICES, Cost, Prices, by_part, price

pytestmark = pytest.mark.timeout(1800)  # the first test waits for an apply
ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/hub-aws-deploy.md"
RECORD = "FLIP_RECORD=1 .venv/bin/pytest tests/infra/test_hub_costs.py"
TABLE = re.compile(r"(<!-- costs: .*? -->\n).*?(<!-- /costs -->)", re.DOTALL)


def _plan(*found: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    entries = [
        {"address": f"module.m.{name}", "mode": "managed", "type": name.partition(".")[0], "values": values}
        for name, values in found
    ]
    return {"planned_values": {"root_module": {"child_modules": [{"resources": entries}]}}}


def test_the_page_says_what_a_hub_costs(stack: Hub, shown: dict[str, Any], tmp_path: Path) -> None:
    stag = by_part(price({"planned_values": shown["values"]}, Prices.read()))
    # One that was not applied yet: how many tasks an applied one has is its own business, and not the plan's.
    (tmp_path / "prod").mkdir()
    (tmp_path / "prod/backend.tfbackend").write_bytes((stack.verbs.folder / "stag/backend.tfbackend").read_bytes())
    values = tmp_path / "prod.tfvars"
    text = stack.text
    for old, new in PROD:
        assert old in text, old
        text = text.replace(old, new)
    values.write_text(text)
    command = [*FLIPCTL, "hub", "costs", "prod", "--values", values, "--folder", tmp_path, "--json"]
    done = subprocess.run(command, env=stack.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    prod = by_part([Cost(**cost) for cost in json.loads(done.stdout)["costs"]])
    rows = [f"| {part} | {what} | {stag.get((part, what), 0):.0f} | {usd:.0f} |" for (part, what), usd in prod.items()]
    rows = [row for row in rows if not row.endswith("| 0 | 0 |")]
    head = ["| part | for | stag | prod |", "|---|---|---|---|"]
    head.append(f"| | **in all, about** | **{sum(stag.values()):.0f}** | **{sum(prod.values()):.0f}** |")
    table = "\n".join([*head, *rows]) + "\n"
    page = PAGE.read_text()
    if os.environ.get("FLIP_RECORD"):
        page = TABLE.sub(lambda match: match[1] + table + match[2], page)
        PAGE.write_text(page)
    assert table in page, f"if that is meant, write it anew: {RECORD}"
    assert stag.keys() == prod.keys()


def test_every_type_of_the_hubs_modules_is_priced_or_free_and_none_is_both() -> None:
    """What an example plans, the stack may."""
    stack = "".join(path.read_text() for path in (ROOT / "infra/tofu/stacks/hub").glob("*.tf"))
    types = set()
    for name in set(re.findall(r'source\s*=\s*"../../modules/(\w+)"', stack)):
        record = ROOT / "infra/tofu/modules" / name / "example.json"
        types |= set(re.findall(r"\.(aws_\w+)\.", " ".join(json.loads(record.read_text())["planned"])))
    free = Prices.read().free
    assert "aws_db_instance" in types
    assert types <= PRICED.keys() | free.keys()
    assert not PRICED.keys() & free.keys()
    assert all(free.values())


def test_every_price_says_what_it_is_for_and_where_it_is_published() -> None:
    document = json.loads(PRICES.read_text())
    assert re.fullmatch(r"20\d\d-\d\d", document["as_of"])
    for name, entry in document["prices"].items():
        assert entry["usd"] > 0, name
        assert entry["unit"], name
        assert entry["page"].startswith("https://aws.amazon.com/"), name
    assert all(entry["what"] and entry["value"] >= 0 for entry in document["usage"].values())


def test_what_nobody_priced_is_refused() -> None:
    with pytest.raises(HubError, match=r"does not say what aws_something costs"):
        price(_plan(("aws_something.new", {})), Prices.read())
    database = {"instance_class": "db.x2g.large", "multi_az": False, "allocated_storage": 50}
    with pytest.raises(HubError, match=r"no price rds_db\.x2g\.large, which module\.m\.aws_db_instance\.hub needs"):
        price(_plan(("aws_db_instance.hub", database)), Prices.read())


def test_a_second_zone_and_more_tasks_cost_as_much_again() -> None:
    prices = Prices.read()

    def cost(copies: int) -> float:
        task = {"cpu": "1024", "memory": "2048", "ephemeral_storage": [{"size_in_gib": 30}]}
        database = {"instance_class": "db.t4g.medium", "multi_az": copies == 2, "allocated_storage": 100}
        plan = _plan(
            ("aws_ecs_service.hub", {"desired_count": copies}),
            ("aws_ecs_task_definition.hub", task),
            ("aws_db_instance.hub", database),
        )
        return sum(one.usd for one in price(plan, prices) if one.unit not in ("metric-month", "secret-month"))

    hours = 730 * (0.04048 + 2 * 0.004445 + 10 * 0.000111 + 0.065)
    assert cost(1) == pytest.approx(hours + 100 * 0.115)
    assert cost(2) == pytest.approx(2 * cost(1))


def test_the_verb_takes_other_assumptions_and_says_its_own(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps(_plan(("aws_nat_gateway.one", {}))))

    def run(*options: str) -> Any:
        return CliRunner().invoke(app, ["hub", "costs", "stag", "--plan", str(plan), *options])

    said = json.loads(run("--json", "--usage", "nat_gb=1000").stdout)
    assert said["usd_a_month"] == pytest.approx(730 * 0.045 + 1000 * 0.045)
    assert said["prices"]["region"] == "us-east-1"
    assert "about 35 USD a month" in run().stdout
    for wrong in ("nat_gb=much", "nothing=1", "nat_gb=-1", "nat_gb"):
        assert run("--usage", wrong).exit_code == 1, wrong
