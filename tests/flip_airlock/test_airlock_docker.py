"""Images out of a real engine, into an empty one: of both kinds, whole, once, and after anything that went wrong."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from airlock import Airlock, noise, tree
from airlock_images import layer

from flip_airlock import AirlockError, upkeep
from flip_airlock import engine as engines
from flip_airlock.manifest import Image, read
from flip_airlock.pack.packer import pack
from flip_airlock.site import Site

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]
CREATED = "2026-01-01T00:00:00Z"


def build(name: str, *layers: bytes) -> None:
    """Gives an image of these layers to the engine."""
    blobs = {hashlib.sha256(content).hexdigest(): content for content in layers}
    digests = [hashlib.sha256(content).hexdigest() for content in layers]
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": CREATED,
            "config": {"Cmd": ["/lib/x"], "Labels": {"name": name}},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
            "history": [{"created": CREATED} for _ in digests],
        }
    ).encode()
    blobs[hashlib.sha256(config).hexdigest()] = config
    image = Image(name, "amd64", hashlib.sha256(config).hexdigest(), tuple(digests))
    engines.load([(image, digests)], lambda digest: (len(blobs[digest]), iter([blobs[digest]])))


def forget(*names: str) -> None:
    """Takes images out of the engine."""
    subprocess.run(["docker", "image", "rm", "--force", *names], check=True, capture_output=True)


def usable(name: str) -> bool:
    """Whether a container can be made of an image."""
    made = subprocess.run(["docker", "create", "--network", "none", name], capture_output=True, text=True, check=False)
    if made.returncode == 0:
        subprocess.run(["docker", "rm", made.stdout.strip()], check=True, capture_output=True)
    return made.returncode == 0


BASE = layer({f"base/{at}": noise(50_000, seed=at) for at in range(100)}, 1)
HUB, TRUST = "flip/hub:1.0.0", "flip/trust-api:1.0.0"


@pytest.fixture
def bundle(airlock: Airlock, empty: object) -> Path:
    """A bundle of two images that share a layer; the engine that they came from has none now."""
    build(HUB, BASE, layer({"hub": noise(200_000, seed=1000)}, 1))
    build(TRUST, BASE, layer({"trust": noise(300_000, seed=2000)}, 1))
    made = airlock.pack("1.0.0", {"read.me": b"read me"}, images=(HUB, TRUST))
    forget(HUB, TRUST)
    return made


def test_what_was_packed_is_loaded_once(airlock: Airlock, bundle: Path) -> None:
    content = read((bundle / "manifest.json").read_bytes())
    assert len(content.blobs) == 6, "two configurations, three layers, a file"
    first = airlock.site.load(bundle)
    assert sorted(first.images) == [HUB, TRUST]
    assert usable(HUB)
    assert usable(TRUST)
    before = tree(airlock.site.folder)
    again = airlock.site.load(bundle)
    assert (again.images, again.blobs, again.bytes) == ((), 0, 0)
    assert tree(airlock.site.folder) == before
    forget(HUB)
    assert airlock.site.load(bundle).images == (HUB,)
    assert usable(HUB)


def test_files_first_and_images_when_docker_is_there(
    airlock: Airlock, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh = airlock.folder / "bin"
    ssh.mkdir()
    (ssh / "ssh-keygen").symlink_to("/usr/bin/ssh-keygen")
    monkeypatch.setenv("PATH", str(ssh))
    with pytest.raises(AirlockError, match="docker is not installed here"):
        airlock.site.load(bundle)
    done = airlock.site.load(bundle, images=False)
    assert not upkeep.lacking(airlock.site), "images that were left for later are no damage"
    assert airlock.inventory(airlock.site).images == {}
    assert (done.images, done.blobs) == ((), 1)
    assert (airlock.site.releases / "1.0.0" / "files" / "read.me").read_bytes() == b"read me"


def test_the_next_release_brings_what_changed(airlock: Airlock, bundle: Path) -> None:
    """One file in one layer; and a layer made again, with the same files of another time."""
    airlock.site.load(bundle)
    have = airlock.inventory(airlock.site)
    again = layer({f"base/{at}": noise(50_000, seed=at) for at in range(100)}, 2_000_000_000)
    hub, trust = HUB.replace("1.0.0", "1.1.0"), TRUST.replace("1.0.0", "1.1.0")
    build(hub, BASE, layer({"hub": noise(200_000, seed=1001)}, 1))
    build(trust, again, layer({"trust": noise(300_000, seed=2000)}, 1))
    delta = airlock.pack("1.1.0", {}, images=(hub, trust), have=have)
    forget(hub, trust)
    travelled = sum(path.stat().st_size for path in delta.glob("*.tar"))
    assert travelled < 200_000 + 0.02 * len(again) + 20_000
    done = airlock.site.load(delta)
    assert sorted(done.images) == [hub, trust]
    assert usable(hub)
    assert usable(trust)
    forget(HUB, TRUST, hub, trust)
    assert sorted(airlock.site.rollback("1.0.0").images) == [HUB, TRUST]
    assert usable(TRUST)


def test_a_layer_is_made_of_one_that_no_new_image_has(airlock: Airlock, empty: object) -> None:
    """As it is in most releases: what was below is in no image of the new one."""
    files = {f"lib/{at}": noise(20_000, seed=at) for at in range(100)}
    build(HUB, layer(files, 1))
    airlock.site.load(airlock.pack("1.0.0", {}, images=(HUB,)))
    have, hub = airlock.inventory(airlock.site), HUB.replace("1.0.0", "1.1.0")
    build(hub, layer(files, 2))
    forget(HUB)
    delta = airlock.pack("1.1.0", {}, images=(hub,), have=have)
    forget(hub)
    assert sum(path.stat().st_size for path in delta.glob("*.tar")) < 0.02 * 2_000_000 + 10_000
    assert airlock.site.load(delta).images == (hub,)
    assert usable(hub)
    upkeep.prune(airlock.site, set())
    forget(hub)
    assert airlock.site.load(delta).images == (hub,)


def test_another_image_under_the_name_does_not_count(airlock: Airlock, bundle: Path) -> None:
    """Same layers, same time; what it runs is another thing."""
    airlock.site.load(bundle)
    made = subprocess.run(["docker", "create", "--network", "none", HUB], capture_output=True, text=True, check=True)
    container = made.stdout.strip()
    change = ["--change", "USER 0", "--change", "ENV TLS=off"]
    subprocess.run(["docker", "commit", *change, container, HUB], check=True, capture_output=True)
    subprocess.run(["docker", "rm", container], check=True, capture_output=True)
    assert airlock.site.load(bundle).images == (HUB,)
    inspected = subprocess.run(["docker", "image", "inspect", HUB], capture_output=True, text=True, check=True).stdout
    assert "TLS=off" not in inspected


def test_packing_gives_the_same_bytes_whatever_the_store_had(airlock: Airlock, bundle: Path, empty: object) -> None:
    airlock.site.load(bundle)
    order = airlock.order("1.0.0", {"read.me": b"read me"}, images=(HUB, TRUST), counter=1)
    pack(order, type(airlock.store)(airlock.folder / "another store"), airlock.folder / "again", airlock.key)
    assert (airlock.folder / "again" / "SHA256SUMS").read_bytes() == (bundle / "SHA256SUMS").read_bytes()


def test_an_image_that_is_not_there_cannot_be_packed(airlock: Airlock, empty: object) -> None:
    with pytest.raises(AirlockError, match=r"No such image.*build it first"):
        airlock.pack("1.0.0", {}, images=(HUB,))


def test_a_damaged_layer_never_becomes_an_image(airlock: Airlock, bundle: Path) -> None:
    """A layer that was damaged in the site's own store."""
    airlock.site.load(bundle)
    forget(HUB, TRUST)
    content = read((bundle / "manifest.json").read_bytes())
    found = airlock.site.store.find(content.images[0].layers[0])
    assert found
    broken = bytearray(found[0].read_bytes())
    broken[len(broken) // 2] ^= 1
    found[0].write_bytes(broken)
    with pytest.raises(AirlockError):
        airlock.site.load(bundle)
    images = subprocess.run(["docker", "image", "ls", "--quiet"], capture_output=True, text=True, check=True).stdout
    assert images == ""
    assert upkeep.damaged(airlock.site, lambda _: None) == {content.images[0].layers[0]}
    airlock.site.load(bundle)
    assert usable(HUB)


PROGRAM = "import sys; from flip_airlock.cli import main; main(sys.argv[1:])"


def loading(site: Site, bundle: Path) -> "subprocess.Popen[bytes]":
    """A load as a process."""
    command = [sys.executable, "-c", PROGRAM, "load", str(bundle), "--site-folder", str(site.folder)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)


def test_a_load_that_is_killed_anywhere_is_completed_by_the_next(airlock: Airlock, bundle: Path) -> None:
    began = time.monotonic()
    with loading(airlock.new_site("whole"), bundle) as process:
        assert process.wait() == 0, process.stderr
    lasted = time.monotonic() - began
    for share in range(1, 11):
        forget(HUB, TRUST)
        site = airlock.new_site(f"site{share}")
        with loading(site, bundle) as process:
            time.sleep(lasted * share / 10)
            process.send_signal(signal.SIGKILL)
        site.load(bundle)
        assert usable(HUB)
        assert usable(TRUST)
        assert not upkeep.lacking(site)


def test_an_engine_that_is_restarted_meanwhile(airlock: Airlock, bundle: Path, engine: object) -> None:
    process = loading(airlock.site, bundle)
    time.sleep(0.5)
    engine.stop(signal.SIGKILL)  # type: ignore[attr-defined]
    said = process.communicate()[1].decode()
    engine.start()  # type: ignore[attr-defined]
    assert process.returncode in (0, 1), said
    assert process.returncode == 0 or said.splitlines()[-1].startswith("error: "), said
    airlock.site.load(bundle)
    assert usable(HUB)
    assert usable(TRUST)
