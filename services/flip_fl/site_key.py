"""The key pair by which the FL server knows a site: made at the site, and the private half never leaves it."""

import logging
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from flip_fl.certs import write_private
from flip_fl.command import run_command

log = logging.getLogger(__name__)


def ensure_site_key(path: Path) -> bytes:
    """The site's public key (one OpenSSH line). Makes the key pair when there is none: P-384, private file 0600."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = ec.generate_private_key(ec.SECP384R1())
        encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        write_private(path, key.private_bytes(encoding, serialization.PrivateFormat.OpenSSH, plain))
        log.info("made the site's key %s", path)
    loaded = serialization.load_ssh_private_key(path.read_bytes(), password=None)
    public = loaded.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    path.with_name(f"{path.name}.pub").write_bytes(public + b"\n")
    return public


def main(
    key_file: Annotated[Path, typer.Argument(help="The private key; its public half lies beside it as .pub")],
) -> None:
    """Makes a site's key pair, if there is none, and prints its public half.

    Example: python -m flip_fl.site_key /opt/flip/fl/site/site.key
    """
    typer.echo(ensure_site_key(key_file).decode())


if __name__ == "__main__":
    run_command(main)
