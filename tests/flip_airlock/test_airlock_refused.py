"""What a site refuses: nothing is unpacked, and no path is made, before the signature and the segments hold."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from airlock import Airlock, make_key, noise, signer, tree

from flip_airlock import AirlockError, signature
from flip_airlock.bundle import SIGNATURE, SUMS, faults, open_bundle

FILES = {"apt/tool.deb": noise(2_500_000), "docs/read.txt": b"read me\n" * 1000}


@pytest.fixture
def bundle(airlock: Airlock) -> Path:
    """A bundle of three segments."""
    return airlock.pack("1.0.0", FILES)


def refused(airlock: Airlock, bundle: Path) -> str:
    """What is said when a bundle is loaded that has to be refused; the site is as it was then."""
    before = tree(airlock.site.folder), sorted(airlock.site.folder.iterdir())
    with pytest.raises(AirlockError) as caught:
        airlock.site.load(bundle)
    after = tree(airlock.site.folder), sorted(airlock.site.folder.iterdir())
    assert after[0] == before[0]
    assert after[1] == before[1] or "nothing was loaded, because segments are not whole" in str(caught.value)
    return str(caught.value)


def test_the_bundle_itself_is_not(airlock: Airlock, bundle: Path) -> None:
    assert len(list(bundle.glob("*.tar"))) == 3
    airlock.site.load(bundle)
    assert (airlock.site.folder / "current" / "files" / "apt" / "tool.deb").read_bytes() == FILES["apt/tool.deb"]


def _unsigned(airlock: Airlock, bundle: Path) -> str:
    (bundle / SIGNATURE).unlink()
    return "has no SHA256SUMS.sig: it is no bundle, or that was lost"


def _by_another(airlock: Airlock, bundle: Path) -> str:
    (bundle / SIGNATURE).unlink()
    signature.sign(bundle / SUMS, make_key(airlock.folder / "another"), signature.BUNDLE)
    return "is of no key in"


def _for_something_else(airlock: Airlock, bundle: Path) -> str:
    (bundle / SIGNATURE).unlink()
    signature.sign(bundle / SUMS, airlock.key, "file")
    return "does not hold"


def _revoked(airlock: Airlock, bundle: Path) -> str:
    shutil.copy(airlock.key.with_suffix(".pub"), airlock.site.folder / "trust" / "revoked_keys")
    return "the key of release@flip is revoked by"


def _expired(airlock: Airlock, bundle: Path) -> str:
    line = signer("release@flip", airlock.key).replace("namespaces", 'valid-before="20200101",namespaces')
    (airlock.site.folder / "trust" / "allowed_signers").write_text(line)
    return "is of no key in"


def _nobody_trusted(airlock: Airlock, bundle: Path) -> str:
    (airlock.site.folder / "trust" / "allowed_signers").unlink()
    return "it cannot be known whose signature to trust"


def _missing(airlock: Airlock, bundle: Path) -> str:
    (bundle / "flip-1.0.0.0002.tar").unlink()
    return "flip-1.0.0.0002.tar: missing"


def _extra(airlock: Airlock, bundle: Path) -> str:
    shutil.copy(bundle / "flip-1.0.0.0001.tar", bundle / "flip-1.0.0.0004.tar")
    return "what is not part of the bundle: flip-1.0.0.0004.tar"


def _renamed(airlock: Airlock, bundle: Path) -> str:
    (bundle / "flip-1.0.0.0001.tar").rename(bundle / "1.tar")
    return "what is not part of the bundle: 1.tar"


def _exchanged(airlock: Airlock, bundle: Path) -> str:
    (bundle / "flip-1.0.0.0001.tar").rename(bundle / "x")
    (bundle / "flip-1.0.0.0002.tar").rename(bundle / "flip-1.0.0.0001.tar")
    (bundle / "x").rename(bundle / "flip-1.0.0.0002.tar")
    return "flip-1.0.0.0001.tar: "


def _of_another_release(airlock: Airlock, bundle: Path) -> str:
    other = airlock.pack("0.9.0", {"apt/tool.deb": noise(1_500_000, seed=2)})
    shutil.copy(other / "flip-0.9.0.0001.tar", bundle / "flip-1.0.0.0001.tar")
    return "flip-1.0.0.0001.tar: "


def _cut_off(airlock: Airlock, bundle: Path) -> str:
    os.truncate(bundle / "flip-1.0.0.0002.tar", 1000)
    return "has 1000 bytes instead of"


def _link(airlock: Airlock, bundle: Path) -> str:
    (bundle / "flip-1.0.0.0001.tar").rename(airlock.folder / "elsewhere")
    (bundle / "flip-1.0.0.0001.tar").symlink_to(airlock.folder / "elsewhere")
    return "it has to be a plain file"


def _pipe(airlock: Airlock, bundle: Path) -> str:
    (bundle / "flip-1.0.0.0001.tar").unlink()
    os.mkfifo(bundle / "flip-1.0.0.0001.tar")
    return "is no plain file"


def _manifest_of_another(airlock: Airlock, bundle: Path) -> str:
    other = airlock.pack("0.9.0", {"a": b"a"})
    shutil.copy(other / "manifest.json", bundle / "manifest.json")
    return "manifest.json is not the one that was signed"


def _older(airlock: Airlock, bundle: Path) -> str:
    airlock.site.load(airlock.pack("1.1.0", {"a": b"a"}))
    return "only with --allow-rollback 1.0.0"


def _huge_sums(airlock: Airlock, bundle: Path) -> str:
    os.truncate(bundle / SUMS, 1 << 30)
    return "is larger than"


@pytest.mark.parametrize(
    "damage",
    [
        _unsigned,
        _by_another,
        _for_something_else,
        _revoked,
        _expired,
        _nobody_trusted,
        _missing,
        _extra,
        _renamed,
        _exchanged,
        _of_another_release,
        _cut_off,
        _link,
        _pipe,
        _manifest_of_another,
        _older,
        _huge_sums,
    ],
)
def test_a_bundle_is_refused(airlock: Airlock, bundle: Path, damage: Callable[[Airlock, Path], str]) -> None:
    says = damage(airlock, bundle)
    assert says in refused(airlock, bundle)


def test_no_folder_is_no_bundle(airlock: Airlock) -> None:
    assert "is no folder" in refused(airlock, airlock.folder / "nowhere")


def test_an_older_release_is_loaded_where_it_is_named(airlock: Airlock, bundle: Path) -> None:
    airlock.site.load(airlock.pack("1.1.0", {"a": b"a"}))
    with pytest.raises(AirlockError):
        airlock.site.load(bundle, allow_rollback="1.1.0")
    airlock.site.load(bundle, allow_rollback="1.0.0")
    assert airlock.site.current == "1.0.0"


def test_a_counter_set_far_too_high_is_left_behind_by_an_older_release_that_is_named(airlock: Airlock) -> None:
    """Else whoever once had a key could have every later release refused for good."""
    after, next_one = airlock.pack("1.2.0", {"a": b"b"}, counter=9), airlock.pack("1.3.0", {"a": b"c"}, counter=10)
    older = airlock.pack("1.1.0", {"a": b"a"}, counter=8)
    airlock.site.load(airlock.pack("6.6.6", {"a": b"bad"}, counter=1 << 52))
    with pytest.raises(AirlockError, match=r"only with --allow-rollback 1.2.0"):
        airlock.site.load(after)
    airlock.site.load(after, allow_rollback="1.2.0")
    with pytest.raises(AirlockError, match=r"this site is at 9: .* only with --allow-rollback 1.1.0"):
        airlock.site.load(older)
    airlock.site.load(next_one)
    assert airlock.site.current == "1.3.0"


def test_rolling_back_opens_no_door_to_what_is_older(airlock: Airlock) -> None:
    between = airlock.pack("1.1.0", {"a": b"a"}, counter=7)
    airlock.site.load(airlock.pack("1.0.0", {"a": b"first"}, counter=6))
    airlock.site.load(airlock.pack("1.2.0", {"a": b"b"}, counter=8))
    airlock.site.rollback("1.0.0")
    with pytest.raises(AirlockError, match=r"only with --allow-rollback 1.1.0"):
        airlock.site.load(between)


def test_a_flipped_bit_is_found_wherever_it_is(airlock: Airlock, bundle: Path) -> None:
    """1,200 random positions, over all kinds of files alike. What is not found by the signature is by the sums."""
    dice = random.Random(4)
    paths = [bundle / SUMS, bundle / SIGNATURE, bundle / "manifest.json", *sorted(bundle.glob("*.tar"))]
    for turn in range(1200):
        path = paths[turn % len(paths)]
        content = bytearray(path.read_bytes())
        at, bit = dice.randrange(len(content)), dice.randrange(8)
        content[at] ^= 1 << bit
        whole = path.read_bytes()
        path.write_bytes(content)
        try:
            opened = open_bundle(bundle, airlock.site.signers)
            found = faults(opened)
        except AirlockError:
            found = {path.name: "refused"}
        path.write_bytes(whole)
        # A signature has bytes that say nothing: line ends and the base64 padding of its armour.
        assert found == {path.name: found.get(path.name)} or (path.name == SIGNATURE and not found), (path, at, bit)
    assert not faults(open_bundle(bundle, airlock.site.signers))
