"""The airlock of a site without internet: a release engineer packs outside, and the bundle lies on the site's host."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from federation.docker import inside, run
from federation.plan import FOLDER, ROOT, Site

OUTSIDE = FOLDER / "airlock"
BUNDLES = OUTSIDE / "bundles"
"""Mounted into the host, as a folder for each release."""
MOUNTED = "/mnt/airlock"
SIGNER = "release@federation.test"
PROGRAM = "/opt/flip/airlock/flip-airlock.pyz"
_SEGMENT = "200M"


def make_key() -> Path:
    """The release engineer's key, made once; its public half is in the file that sites trust by."""
    key, signers = OUTSIDE / "release", OUTSIDE / "allowed_signers"
    BUNDLES.mkdir(parents=True, exist_ok=True)
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text(encoding="ascii")
    signers.write_text(f'{SIGNER} namespaces="flip-airlock" {public}', encoding="ascii")
    return key


def pack(release: str, images: Sequence[str], suite: str, *options: str) -> int:
    """Packs a release anew; the bytes of its segments."""
    key, out = make_key(), BUNDLES / release
    if out.exists():
        for old in out.iterdir():
            old.unlink()
    chosen = [f"--image={name}" for name in images]
    run(
        ROOT / ".venv/bin/flipctl", "airlock", "pack", f"--release={release}", f"--sign={key}", *chosen,
        f"--suite={suite}", f"--segment-size={_SEGMENT}", f"--out={out}", f"--store={OUTSIDE / 'store'}", *options,
        cwd=ROOT,
    )  # fmt: skip
    return sum(path.stat().st_size for path in out.glob("*.tar"))


def carry_inventory_out(site: Site) -> tuple[str, str]:
    """What the site holds now, and the options by which the next bundle is made against it."""
    here, there = OUTSIDE / f"{site.trust}.inventory", f"/root/{site.trust}.inventory"
    line = inside(site.container(), "python3", PROGRAM, "inventory", site.trust, "--out", there).splitlines()[-1]
    for ending in ("", ".sig"):
        run("docker", "cp", "--quiet", f"{site.container()}:{there}{ending}", f"{here}{ending}")
    (OUTSIDE / "sites").write_text(f"{line}\n", encoding="ascii")
    return f"--for={here}", f"--sites={OUTSIDE / 'sites'}"
