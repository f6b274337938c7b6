"""Loading: whole or not at all, whatever happens in between; only what is missing; with a receipt."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from airlock import Airlock, make_key, noise, signer, tree

from flip_airlock import AirlockError, signature, upkeep
from flip_airlock.records import read_inventory
from flip_airlock.site import Site

FILES = {f"apt/pool/{at}.deb": noise(300_000, seed=at) for at in range(12)} | {"docs/a.txt": b"text\n" * 50_000}


def test_a_second_load_reads_nothing_of_the_bundle(airlock: Airlock) -> None:
    bundle = airlock.pack("1.0.0", FILES)
    first = airlock.site.load(bundle)
    assert first.blobs == len(FILES)
    before = tree(airlock.site.folder)
    for segment in bundle.glob("*.tar"):
        segment.write_bytes(b"no longer whole, and not needed")
    again = airlock.site.load(bundle)
    assert (again.blobs, again.bytes, again.images) == (0, 0, ())
    assert tree(airlock.site.folder) == before


def laid_out(site: Site) -> dict[str, bytes]:
    """The current release's files."""
    top = site.folder / "current" / "files"
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def test_files_lie_where_the_manifest_says(airlock: Airlock) -> None:
    airlock.site.load(airlock.pack("1.0.0", FILES))
    assert laid_out(airlock.site) == FILES
    modes = {path.stat().st_mode & 0o777 for path in (airlock.site.folder / "current" / "files").rglob("*.*")}
    assert modes == {0o644}


PROGRAM = "import sys; from flip_airlock.cli import main; main(sys.argv[1:])"


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv.pop(1))))
"""


def command(site: Site, *arguments: str) -> list[str]:
    """The verb as a process."""
    return [sys.executable, "-c", PROGRAM, *arguments, "--site-folder", str(site.folder)]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
def test_a_load_that_is_killed_anywhere_is_completed_by_the_next(airlock: Airlock, how: signal.Signals) -> None:
    bundle = airlock.pack("1.0.0", FILES)
    whole = airlock.new_site("whole")
    whole.load(bundle)
    states = set()
    for count in range(len(FILES) + 2):
        site = airlock.new_site(f"site{count}")
        with subprocess.Popen(command(site, "load", str(bundle)), stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and len(site.store.digests()) < count:
                time.sleep(0.0002)
            process.send_signal(how)
        states.add(len(site.store.digests()))
        for digest in site.store.digests():  # what has its name is whole
            assert sum(map(len, site.store.read(digest)))
        site.load(bundle)
        assert laid_out(site) == FILES
        assert tree(site.folder / "store") == tree(whole.folder / "store")
        assert len(site.receipts.chain()) in (1, 2)
    assert len(states) > 5, "it was hit at different points"


def test_a_full_disk_is_said_beforehand(airlock: Airlock, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = airlock.pack("1.0.0", FILES)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(AirlockError, match="MiB free and up to 3 MiB are needed"):
        airlock.site.load(bundle)
    assert not airlock.site.store.digests()


def test_a_disk_that_fills_up_at_any_point_loses_nothing(airlock: Airlock) -> None:
    """A limit on the size of files stands for it: the write that reaches it fails as on a full disk."""
    files = {f"{at}.deb": noise(100_000 + 50_000 * at, seed=at) for at in range(10)}
    bundle = airlock.pack("1.0.0", files)
    # A measurement of coverage has files of its own, which the limit would hit, too.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    for at in range(10):
        site = airlock.new_site(f"site{at}")
        limit = 90_000 + 50_000 * at
        failed = subprocess.run(
            [
                sys.executable,
                "-c",
                LIMITED + PROGRAM,
                str(limit),
                "load",
                str(bundle),
                "--site-folder",
                str(site.folder),
            ],
            capture_output=True,
            text=True,
            check=False,
            env=plain,
        )
        assert failed.returncode == 1, failed
        assert failed.stderr.splitlines()[-1].startswith("error: ")
        assert "File too large" in failed.stderr
        assert "Traceback" not in failed.stderr
        assert not site.current
        site.load(bundle)
        assert laid_out(site) == files


def test_one_at_a_time(airlock: Airlock) -> None:
    bundle = airlock.pack("1.0.0", FILES)
    with airlock.site.store.alone(), pytest.raises(AirlockError, match="something else writes"):
        airlock.site.load(bundle)
    processes = [
        subprocess.Popen(command(airlock.site, "load", str(bundle)), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]
    said = [process.communicate()[1].decode() for process in processes]
    assert all(
        process.returncode == 0 or "something else writes" in text
        for process, text in zip(processes, said, strict=True)
    )
    assert any(process.returncode == 0 for process in processes)
    assert laid_out(airlock.site) == FILES


def test_a_bundle_for_a_site_brings_what_it_lacks(airlock: Airlock) -> None:
    airlock.site.load(airlock.pack("1.0.0", FILES))
    have = airlock.inventory(airlock.site)
    files = {**FILES, "apt/pool/0.deb": noise(300_000, seed=99)}
    delta = airlock.pack("1.1.0", files, have=have)
    assert sorted(path.name for path in delta.glob("*.tar")) == ["flip-1.1.0-for-Trust_1.0001.tar"]
    assert 300_000 < sum(path.stat().st_size for path in delta.glob("*.tar")) < 310_000
    done = airlock.site.load(delta)
    assert (done.blobs, laid_out(airlock.site)) == (1, files)
    with pytest.raises(AirlockError, match="send out a new inventory"):
        airlock.new_site("other").load(delta)


def test_an_inventory_that_was_edited_is_refused(airlock: Airlock) -> None:
    airlock.site.load(airlock.pack("1.0.0", FILES))
    airlock.inventory(airlock.site)
    path, signers = airlock.folder / "Trust_1.inventory", airlock.folder / "sites"
    text = path.read_bytes()
    path.write_bytes(text.replace(b"1.0.0", b"1.0.1"))
    with pytest.raises(AirlockError, match="does not hold"):
        read_inventory(path, signers)
    path.write_bytes(text)
    signers.write_text(signer("Trust_2", airlock.site.key(), signature.INVENTORY))
    with pytest.raises(AirlockError, match="is of site Trust_1, and was signed by Trust_2"):
        read_inventory(path, signers)
    signers.write_text(signer("Trust_1", make_key(airlock.folder / "another"), signature.INVENTORY))
    with pytest.raises(AirlockError, match="is of no key in"):
        read_inventory(path, signers)


def test_a_site_that_has_nothing_has_no_inventory(airlock: Airlock) -> None:
    with pytest.raises(AirlockError, match="made without an inventory"):
        airlock.site.inventory("Trust_1")


def test_receipts_follow_on_one_another(airlock: Airlock) -> None:
    for release in ("1.0.0", "1.1.0"):
        airlock.site.load(airlock.pack(release, {"a": release.encode()}))
    airlock.site.rollback("1.0.0")
    chain = airlock.site.receipts.chain()
    assert [(each["action"], each["release"]) for each in chain] == [
        ("load", "1.0.0"),
        ("load", "1.1.0"),
        ("rollback", "1.0.0"),
    ]
    assert {each["signer"] for each in chain} == {"release@flip"}
    for number in (1, 2):
        path = airlock.site.folder / "receipts" / f"{number:06}.json"
        text = path.read_bytes()
        path.write_bytes(text.replace(b'"action":"load"', b'"action":"hide"'))
        with pytest.raises(AirlockError, match=f"00000{number + 1}.json does not follow"):
            airlock.site.receipts.chain()
        path.unlink()
        with pytest.raises(AirlockError, match="one of the two was changed, or one between them"):
            airlock.site.receipts.chain()
        path.write_bytes(text)
    assert len(airlock.site.receipts.chain()) == 3


def test_a_release_that_was_here_counts_again(airlock: Airlock) -> None:
    airlock.site.load(airlock.pack("1.0.0", {"a": b"old"}))
    airlock.site.load(airlock.pack("1.1.0", {"a": b"new"}))
    airlock.site.rollback("1.0.0")
    assert (airlock.site.current, laid_out(airlock.site)) == ("1.0.0", {"a": b"old"})
    with pytest.raises(
        AirlockError, match=r"release 0.9.0 is not here: never loaded, or pruned; there are: 1.0.0, 1.1.0"
    ):
        airlock.site.rollback("0.9.0")
    with pytest.raises(AirlockError, match=r"only with --allow-rollback 0.9.0"):
        airlock.site.load(airlock.pack("0.9.0", {"a": b""}, counter=1))
    (airlock.site.folder / "trust" / "revoked_keys").write_text(airlock.key.with_suffix(".pub").read_text())
    with pytest.raises(AirlockError, match="is revoked by"):
        airlock.site.rollback("1.1.0")


def test_what_is_damaged_at_the_site_is_found_and_repaired(airlock: Airlock) -> None:
    bundle = airlock.pack("1.0.0", FILES)
    airlock.site.load(bundle)
    found = airlock.site.store.find(sorted(airlock.site.store.digests())[0])
    assert found
    content = bytearray(found[0].read_bytes())
    content[100] ^= 1
    found[0].unlink()  # its other name, in the release's folder, stays as it is
    found[0].write_bytes(content)
    assert len(upkeep.damaged(airlock.site, lambda _: None)) == len(upkeep.lacking(airlock.site)) == 1
    assert airlock.site.load(bundle).blobs == 1
    assert not upkeep.lacking(airlock.site)
    assert not upkeep.damaged(airlock.site, lambda _: None)


def test_what_no_release_needs_goes(airlock: Airlock) -> None:
    for release in ("1.0.0", "1.1.0", "1.2.0"):
        airlock.site.load(airlock.pack(release, {"own": noise(1000, seed=ord(release[2])), "shared": b"shared"}))
    with pytest.raises(AirlockError, match=r"2.0.0: never loaded here, or pruned"):
        upkeep.prune(airlock.site, {"2.0.0"})
    removed, freed = upkeep.prune(airlock.site, {"1.1.0"})
    assert (removed, freed) == (["1.0.0"], 1000)
    airlock.site.rollback("1.1.0")
    assert not upkeep.lacking(airlock.site)


def test_the_verbs_say_what_happened(airlock: Airlock) -> None:
    bundle = airlock.pack("1.0.0", {"a": noise(1_500_000)})

    def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(command(airlock.site, *arguments), capture_output=True, text=True, check=False)

    assert "signed by release@flip: all files are as signed" in call("verify", str(bundle)).stdout
    assert json.loads(call("load", str(bundle), "--json").stdout)["blobs"] == 1
    assert "load 1.0.0 (counter 1), signed by release@flip" in call("receipt").stdout
    written = call("inventory", "Trust_1", "--out", str(airlock.folder / "i"), "--json")
    assert json.loads(written.stdout)["allowed_signer"].startswith("Trust_1 ssh-ed25519 ")
    assert (airlock.folder / "i.sig").is_file()
    (bundle / "flip-1.0.0.0002.tar").write_bytes(b"")
    lost = call("missing", str(bundle))
    assert lost.returncode == 1
    assert "--only flip-1.0.0.0002.tar" in lost.stdout
    assert call("verify", str(bundle)).returncode == 1
    inside = call("inventory", "Trust_1", "--out", str(bundle / "i"))
    assert (inside.returncode, (bundle / "i").exists()) == (1, False)
    assert "would lie in a bundle's folder" in inside.stderr
    assert call("repair", str(bundle)).stdout == "all that is kept here is whole\n"
    assert "removed no release" in call("prune").stdout
    refused = call("rollback", "2")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("error: release 2 is not here")
    assert (airlock.site.folder / "site_key").stat().st_mode & 0o777 == 0o600


def test_a_release_packed_again_needs_a_higher_counter(airlock: Airlock) -> None:
    """Else an airlock could let the first packing in again, which was replaced for a reason."""
    airlock.site.load(airlock.pack("1.0.0", {"a": b"mended"}, counter=5))
    first = airlock.pack("1.0.0", {"a": b"flawed"}, out="first", counter=5)
    with pytest.raises(AirlockError, match="pack it again with a higher --counter"):
        airlock.site.load(first)
    assert laid_out(airlock.site) == {"a": b"mended"}
    airlock.site.load(first, allow_rollback="1.0.0")
    assert laid_out(airlock.site) == {"a": b"flawed"}


def test_files_alone_do_not_go_back_either(airlock: Airlock) -> None:
    old = airlock.pack("1.0.0", {"a": b"old"})
    airlock.site.load(airlock.pack("1.1.0", {"a": b"new"}), images=False)
    with pytest.raises(AirlockError, match=r"only with --allow-rollback 1.0.0"):
        airlock.site.load(old, images=False)


@pytest.mark.parametrize("name", ["../flip-1.0.0", "1.0.0/", ".1.0.0.part", "/"])
def test_a_rollback_takes_names_alone(airlock: Airlock, name: str) -> None:
    bundle = airlock.pack("1.0.0", {"a": b"a"})
    airlock.site.load(bundle)
    (airlock.site.releases / ".1.0.0.part").mkdir()
    (airlock.site.releases / ".1.0.0.part" / "SHA256SUMS").touch()
    for given in (name, str(bundle)):
        with pytest.raises(AirlockError, match="is not here: never loaded"):
            airlock.site.rollback(given)
    assert airlock.inventory(airlock.site).release == "1.0.0"


def test_nothing_goes_where_no_release_counts(airlock: Airlock) -> None:
    airlock.site.load(airlock.pack("1.0.0", FILES))
    (airlock.site.folder / "current").unlink()
    with pytest.raises(AirlockError, match="no release counts here, so all would go"):
        upkeep.prune(airlock.site, set())
    assert len(airlock.site.store.digests()) == len(FILES)


def test_files_that_were_changed_are_laid_out_again(airlock: Airlock) -> None:
    airlock.site.load(airlock.pack("1.0.0", FILES))
    files = airlock.site.folder / "current" / "files"
    (files / "docs" / "a.txt").write_bytes(b"changed")
    (files / "apt" / "pool" / "0.deb").unlink()
    assert upkeep.mend(airlock.site) == (["1.0.0"], [])
    assert laid_out(airlock.site) == FILES
    (files / "docs" / "b.txt").write_bytes(b"of nobody")
    assert upkeep.mend(airlock.site) == (["1.0.0"], [])
    assert laid_out(airlock.site) == FILES
    assert upkeep.mend(airlock.site) == ([], [])


def test_changed_files_that_cannot_be_mended_are_named(airlock: Airlock) -> None:
    airlock.site.load(airlock.pack("1.0.0", FILES))
    (airlock.site.folder / "current" / "files" / "docs" / "a.txt").write_bytes(b"changed")
    airlock.site.store.remove(hashlib.sha256(FILES["docs/a.txt"]).hexdigest())
    said = subprocess.run(command(airlock.site, "repair"), capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert "files of 1.0.0 are not as they were signed" in said.stdout
    assert "1 blobs are lacking: name a bundle" in said.stdout


def test_the_bundles_program_stays_at_the_site(airlock: Airlock) -> None:
    program = airlock.folder / "program"
    program.write_bytes(b"print()")
    bundle = airlock.pack("1.0.0", FILES, extras={"flip-airlock.pyz": program})
    airlock.site.load(bundle)
    kept = airlock.site.folder / "flip-airlock.pyz"
    assert (kept.read_bytes(), kept.stat().st_mode & 0o777) == (b"print()", 0o755)
    (bundle / "flip-airlock.pyz").write_bytes(b"other()")
    with pytest.raises(AirlockError, match=r"flip-airlock.pyz: damaged"):
        airlock.site.load(bundle)
    assert kept.read_bytes() == b"print()"


def test_repair_takes_blobs_from_a_newer_bundle_and_does_not_change_to_it(airlock: Airlock) -> None:
    airlock.site.load(airlock.pack("1.0.0", FILES))
    newer = airlock.pack("1.1.0", {**FILES, "more": b"more"})
    airlock.site.store.remove(min(airlock.site.store.digests()))
    assert upkeep.refill(airlock.site, newer, lambda _: None) == 1
    assert airlock.site.current == "1.0.0"
    assert not upkeep.lacking(airlock.site)
    assert len(airlock.site.receipts.chain()) == 1


def test_what_is_kept_does_not_end_with_the_key(airlock: Airlock) -> None:
    """A key comes to its end in time; what it signed stays here, is listed, and goes when it is not needed."""
    airlock.site.load(airlock.pack("1.0.0", {"a": b"a"}))
    line = signer("release@flip", airlock.key).replace("namespaces", 'valid-before="20200101",namespaces')
    (airlock.site.folder / "trust" / "allowed_signers").write_text(line)
    assert airlock.inventory(airlock.site).release == "1.0.0"
    assert not upkeep.lacking(airlock.site)
    assert upkeep.prune(airlock.site, set()) == ([], 0)
    with pytest.raises(AirlockError, match="is of no key in"):
        airlock.site.rollback("1.0.0")


def test_keys_that_no_longer_count_and_cannot_be_read_let_nobody_in(airlock: Airlock) -> None:
    (airlock.site.folder / "trust" / "revoked_keys").symlink_to("nowhere")
    with pytest.raises(AirlockError, match="it cannot be known whose signature to trust"):
        airlock.site.load(airlock.pack("1.0.0", {"a": b"a"}))
