"""flip_service's Compose document, and flip_secrets' files."""

import pytest
from ansible_tree import python

service = python("flip_service", "filter_plugins/flip_service.py")
ROOT = "/opt/flip/config/omop"
DB = {"image": "flip/omop-db:1", "volumes": ["/opt/flip/data/omop:/data"], "networks": ["flip-data"]}
PASSWORD = {"service": "db", "name": "password", "content": "secret", "owner": "10002", "mode": "0400"}


def _mark(containers: dict[str, object], files: list[dict[str, str]], name: str = "db") -> str:
    mark: str = service.project(containers, files, [], ROOT)["services"][name]["labels"][service.MARK]
    return mark


def test_a_container_is_confined_and_finds_its_files() -> None:
    made = service.project({"db": DB}, [PASSWORD], ["flip-data"], ROOT)
    db = made["services"]["db"]
    assert (db["read_only"], db["cap_drop"], db["security_opt"]) == (True, ["ALL"], ["no-new-privileges:true"])
    assert db["volumes"] == ["/opt/flip/data/omop:/data", f"{ROOT}/db:/config:ro"]
    assert made["networks"] == {"flip-data": {"external": True}}
    assert "secret" not in str(made)


def test_a_definition_may_say_otherwise() -> None:
    made = service.project({"db": {**DB, "read_only": False, "labels": {"a": "b"}}}, [], [], ROOT)["services"]["db"]
    assert made["read_only"] is False
    assert made["labels"].keys() == {"a", service.MARK}


@pytest.mark.parametrize("changed", [{"content": "other"}, {"mode": "0440"}, {"name": "word"}, {"owner": "10003"}])
def test_the_mark_changes_with_every_file_the_container_reads(changed: dict[str, str]) -> None:
    assert _mark({"db": DB}, [PASSWORD]) != _mark({"db": DB}, [{**PASSWORD, **changed}])


def test_the_mark_changes_with_the_definition_but_not_with_other_containers_files() -> None:
    both = {"db": DB, "api": {"image": "flip/api:1"}}
    assert _mark(both, [PASSWORD]) == _mark(both, [PASSWORD, {**PASSWORD, "service": "api"}])
    assert _mark(both, [PASSWORD]) != _mark({"db": {**DB, "image": "flip/omop-db:2"}}, [PASSWORD])


def test_the_mark_does_not_depend_on_the_order_of_files() -> None:
    other = {**PASSWORD, "name": "another"}
    assert _mark({"db": DB}, [PASSWORD, other]) == _mark({"db": DB}, [other, PASSWORD])


@pytest.mark.parametrize(
    ("containers", "files", "named"),
    [({"db": {}}, [], "db has no image"), ({"db": DB}, [{**PASSWORD, "service": "dd"}], "not there: dd")],
)
def test_what_cannot_be_meant_is_refused(
    containers: dict[str, object], files: list[dict[str, str]], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        service.project(containers, files, [], ROOT)


def test_each_container_has_its_folder_and_its_files_lie_there() -> None:
    data = {"path": "/opt/flip/data/omop", "owner": "10002", "group": "10002", "mode": "0700"}
    made = service.places({"db": DB}, [data], ROOT)
    assert [folder["path"] for folder in made] == [ROOT, f"{ROOT}/db", "/opt/flip/data/omop"]
    assert service.paths([PASSWORD], ROOT) == [
        {"path": f"{ROOT}/db/password", "content": "secret", "owner": "10002", "group": 0, "mode": "0400"}
    ]
