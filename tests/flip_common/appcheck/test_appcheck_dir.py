"""What the check says about an app's folder: the code, the file and the line to change."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flip_common.appcheck import Limits, Report, Severity, check_dir

from .conftest import CLIENT, GOOD, PYPROJECT, SERVER, write

Check = Callable[..., Report]


def found(report: Report) -> list[tuple[str, str | None, int | None]]:
    return [(finding.code, finding.file, finding.line) for finding in report.findings]


def test_a_good_app_has_no_findings(check: Check) -> None:
    report = check()
    assert report.findings == ()
    assert report.as_dict() == {"ok": True, "findings": []}


def without(line: str) -> str:
    assert line in PYPROJECT
    return PYPROJECT.replace(line + "\n", "")


ERRORS: list[tuple[dict[str, str | None], tuple[str, str | None, int | None], str]] = [
    ({"pyproject.toml": None}, ("no-pyproject", None, None), "add one"),
    ({"pyproject.toml": PYPROJECT + "broken = = 1\n"}, ("toml-syntax", "pyproject.toml", 18), "not valid TOML"),
    ({"pyproject.toml": "[project]\nname='a'\nversion='1'\n"}, ("no-flower-app", "pyproject.toml", None), "publisher"),
    ({"pyproject.toml": without('version = "1.0"')}, ("no-project", "pyproject.toml", None), "version"),
    ({"pyproject.toml": without('publisher = "me"')}, ("no-publisher", "pyproject.toml", 5), "publisher"),
    (
        {"pyproject.toml": without('clientapp = "app.client_app:app"')},
        ("no-component", "pyproject.toml", 8),
        "app.client_app:app",
    ),
    (
        {"pyproject.toml": PYPROJECT.replace("app.client_app:app", "app/client_app.py")},
        ("odd-component", "pyproject.toml", 10),
        "<package>.<module>:<name>",
    ),
    (
        {"pyproject.toml": PYPROJECT.replace("app.client_app:app", "app.client:app")},
        ("component-not-found", "pyproject.toml", 10),
        "app/client.py",
    ),
    (
        {"pyproject.toml": PYPROJECT.replace("app.client_app:app", "client_app:app"), "client_app.py": CLIENT},
        ("no-package", "pyproject.toml", 10),
        "package folder",
    ),
    (
        {"app/client_app.py": CLIENT.replace("app = ", "other = ")},
        ("component-not-found", "app/client_app.py", None),
        "app = ClientApp()",
    ),
    (
        {"pyproject.toml": without('flip-model-id = "uuid"')},
        ("no-placeholder", "pyproject.toml", 12),
        'flip-model-id = ""',
    ),
    (
        {"pyproject.toml": PYPROJECT.replace('flip-cohort-query = "*"', "flip-cohort-query = 1")},
        ("config-type", "pyproject.toml", 17),
        "FLIP sets a string",
    ),
    (
        {"pyproject.toml": PYPROJECT + "layers = [1, 2]\n"},
        ("config-type", "pyproject.toml", 18),
        "layers is a list",
    ),
    (
        {"pyproject.toml": PYPROJECT + "[tool.flwr.app.config.server]\nrounds = 1\n"},
        ("nested-config", "pyproject.toml", None),
        "flat",
    ),
    (
        {"pyproject.toml": PYPROJECT + '"odd key" = 1\n'},
        ("config-key", "pyproject.toml", 18),
        "odd key",
    ),
    (
        {"app/client_app.py": CLIENT.replace('.get("learning-rate")', '["momentum"]')},
        ("undeclared-key", "app/client_app.py", 10),
        "add momentum = ...",
    ),
    (
        {"app/client_app.py": CLIENT.replace('get("learning-rate")', 'get("momentum")')},
        ("undeclared-key", "app/client_app.py", 10),
        "momentum",
    ),
    (
        {"app/server_app.py": SERVER + '    cfg = context.run_config\n    cfg["nope"]\n'},
        ("undeclared-key", "app/server_app.py", 17),
        "nope",
    ),
    (
        {"app/helper.py": 'KEY = "nope"\n\n\ndef f(context):\n    return context.run_config[KEY]\n'},
        ("undeclared-key", "app/helper.py", 5),
        "nope",
    ),
    ({"config.toml": "\nmomentum = 0.9\n"}, ("undeclared-key", "config.toml", 2), "add momentum = 0.9"),
    ({"config.toml": 'num-server-rounds = "3"\n'}, ("config-type", "config.toml", 1), "declared as int"),
    ({"config.toml": "num-server-rounds = true\n"}, ("config-type", "config.toml", 1), "declared as int"),
    ({"app/config.toml": "[a]\nb = 1\n"}, ("nested-config", "app/config.toml", None), "flat"),
    ({"config.toml": "x = {"}, ("toml-syntax", "config.toml", None), "not valid TOML"),
    ({"app/helper.py": "x = 1\ndef f(:\n"}, ("syntax-error", "app/helper.py", 2), "not Python"),
    ({"app/helper.py": "x = '\0'"}, ("syntax-error", "app/helper.py", None), ""),
    ({"app/helper.py": "x = " + "(" * 5000}, ("syntax-error", "app/helper.py", None), ""),
    ({"flip/__init__.py": ""}, ("shadows-module", "flip/__init__.py", None), "'flip'"),
    ({"flwr.py": ""}, ("shadows-module", "flwr.py", None), "'flwr'"),
    ({"random.py": ""}, ("shadows-module", "random.py", None), "'random'"),
    ({"Torch/x.py": ""}, ("shadows-module", "Torch/x.py", None), "'torch'"),
    ({"app/Helper.py": ""}, ("name-collision", None, None), "one file on some systems"),
    ({"app/e\u0301.md": "", "app/\u00e9.md": ""}, ("name-collision", None, None), "one file"),
    ({"app/con.py": ""}, ("odd-name", None, None), "every system"),
    ({"app/a b .md": "", "app/x:y.md": ""}, ("odd-name", None, None), "every system"),
]


@pytest.mark.parametrize(("changes", "finding", "remedy"), ERRORS, ids=[str(i) for i in range(len(ERRORS))])
def test_what_submit_would_refuse_is_found_with_its_place(
    check: Check, changes: dict[str, str | None], finding: tuple[str, str | None, int | None], remedy: str
) -> None:
    report = check(changes)
    assert not report.ok
    code, file, line = finding
    matching = [item for item in report.findings if (item.code, item.file) == (code, file)]
    assert matching, report.findings
    assert matching[0].severity is Severity.ERROR
    assert remedy in matching[0].message
    if line is not None:
        assert matching[0].line == line
        assert str(matching[0]).startswith(f"{file}:{line}: error: ")


WARNINGS: list[tuple[dict[str, str | None], tuple[str, str | None, int | None]]] = [
    (
        {"app/client_app.py": CLIENT.replace('get("learning-rate")', 'get("momentum", 0.9)')},
        ("undeclared-key", "app/client_app.py", 10),
    ),
    ({"app/server_app.py": SERVER.replace("ModelStatus.PREPARED", "None")}, ("no-status-call", None, None)),
    ({"app/client_app.py": CLIENT + "    print(message)\n"}, ("prints-data", "app/client_app.py", 11)),
    (
        {"app/client_app.py": CLIENT + "    flip.send_metrics('a', 'b', 'c', 1, 1)\n"},
        ("hub-call-in-client", "app/client_app.py", 11),
    ),
    ({"app/helper.py": "import json\nimport monai.losses\n"}, ("missing-package", "app/helper.py", 2)),
    ({"app/weights.npz": "x"}, ("not-packed", "app/weights.npz", None)),
    ({"lib/extra.py": ""}, ("not-packed", "lib/extra.py", None)),
    ({"app/test_me.py": ""}, ("not-packed", "app/test_me.py", None)),
    ({"config.toml": 'flip-model-id = "x"\n'}, ("sets-placeholder", "config.toml", 1)),
]


@pytest.mark.parametrize(("changes", "finding"), WARNINGS)
def test_what_is_doubtful_is_a_warning(
    check: Check, changes: dict[str, str | None], finding: tuple[str, str | None, int | None]
) -> None:
    report = check(changes)
    assert report.ok, report.findings
    assert found(report) == [finding]


GOOD_CHANGES: list[dict[str, str | None]] = [
    {"config.toml": "num-server-rounds = 5\nlearning-rate = 1\n"},
    {"app/client_app.py": CLIENT + "    print('done')\n"},
    {"app/random.py": "", "README.md": "", "notes.txt": ""},
    {"app/__pycache__/x.py": "syntax error", ".git/config": "", ".DS_Store": ""},
    {"app/server_app.py": SERVER.replace("TRAINING_STARTED", "RUNNING")},
    {"app/server_app.py": "app = 1\ndef main(flip):\n    with flip.run_model('m') as run:\n        pass\n"},
    {"app/server_app.py": SERVER.replace("app = ServerApp()", "try:\n    app = ServerApp()\nfinally:\n    pass")},
    {"app/helper.py": '"\\d"\n'},
    {"app/helper.py": "def f(context, key):\n    context.run_config['new'] = 1\n    return context.run_config[key]\n"},
]


@pytest.mark.parametrize("changes", GOOD_CHANGES)
def test_what_is_allowed_has_no_findings(check: Check, changes: dict[str, str | None]) -> None:
    assert found(check(changes)) == []


def test_errors_come_first_and_every_finding_once(check: Check) -> None:
    report = check({"app/helper.py": "import monai\nimport monai\n", "flwr.py": ""})
    assert [finding.severity for finding in report.findings] == ["error", "warning", "warning"]
    assert report.as_dict()["findings"][0]["file"] == "flwr.py"


def test_limits_hold_for_a_folder(tmp_path: Path) -> None:
    root = write(tmp_path / "app", GOOD)
    codes = {
        limits: {finding.code for finding in check_dir(root, limits).findings}
        for limits in (Limits(files=4), Limits(file_bytes=100), Limits(total_bytes=500), Limits(source_bytes=100))
    }
    assert list(codes.values()) == [{"too-many-files"}, {"too-large"}, {"too-large"}, {"too-large", "no-status-call"}]


def test_an_app_too_big_for_flower_is_warned_about(tmp_path: Path) -> None:
    root = write(tmp_path / "app", {**GOOD, "app/big.json": "x" * 21_000_000})
    assert [finding.code for finding in check_dir(root).findings] == ["too-large"]


def test_links_are_refused_and_not_followed(tmp_path: Path) -> None:
    root = write(tmp_path / "app", GOOD)
    (root / "app" / "secret.py").symlink_to("/etc/passwd")
    assert found(check_dir(root)) == [("link", "app/secret.py", None)]


def test_the_folder_around_the_app_may_be_given(tmp_path: Path) -> None:
    write(tmp_path / "outer" / "inner", GOOD)
    assert check_dir(tmp_path / "outer").findings == ()
    with pytest.raises(NotADirectoryError):
        check_dir(tmp_path / "absent")


def test_other_sites_may_have_other_packages(check: Check, tmp_path: Path) -> None:
    root = write(tmp_path / "app", {**GOOD, "app/helper.py": "import monai\n"})
    assert check_dir(root, packages=frozenset({"flip", "flwr", "numpy", "monai"})).findings == ()
