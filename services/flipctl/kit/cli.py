"""`flipctl kit`: look at kits, open them at a site, and make the keys around them."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from flipctl.kit import KitError
from flipctl.kit.install import check_signer, install
from flipctl.kit.keys import Identity, identity, make_key
from flipctl.kit.model import Header
from flipctl.kit.sealed import Kit, read
from flipctl.output import JsonFlag, fail, print_json

app = typer.Typer(help="Look at kits and open them.", no_args_is_help=True)
PASSPHRASE_VARIABLE = "FLIP_KIT_PASSPHRASE"  # noqa: S105 - the name of a variable, not a passphrase


def _fingerprint(text: str) -> str:
    if not text.startswith("SHA256:") or len(text) != len("SHA256:") + 43:
        raise typer.BadParameter(f"{text!r}: a fingerprint is SHA256: and 43 characters, as ssh-keygen -l prints it")
    return text


KitFile = Annotated[Path, typer.Argument(help="The kit file.")]
SignedBy = Annotated[
    str,
    typer.Option(help="Fingerprint of the hub's signing key, SHA256:...", parser=_fingerprint, metavar="SHA256:..."),
]


def ask_passphrase(prompt: str) -> str:
    """The passphrase of FLIP_KIT_PASSPHRASE, else asked for."""
    return os.environ.get(PASSPHRASE_VARIABLE) or str(typer.prompt(prompt, hide_input=True, err=True))


@app.command(epilog="Example: flipctl kit keygen /root/flip-kit.key")
def keygen(
    file: Annotated[Path, typer.Argument(help="The private key (0600); its public half goes to FILE.pub.")],
    as_json: JsonFlag = False,
) -> None:
    """Make an SSH key pair: to sign kits with at the hub, or to receive them with at a site."""
    try:
        made = make_key(file)
    except KitError as error:
        fail(str(error))
    if as_json:
        print_json({"private": str(file), "public": f"{file}.pub", "fingerprint": made})
    else:
        typer.echo(f"{file} stays here; {file}.pub may be given to anyone.\nfingerprint {made}")


@app.command(epilog="Example: flipctl kit inspect Trust_3.flipkit")
def inspect(
    file: KitFile,
    signed_by: Annotated[
        str | None,
        typer.Option(help="Also hold it to this key, SHA256:...", parser=_fingerprint, metavar="SHA256:..."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say what a kit is: everything that is readable without a key, and nothing secret.

    Exit status 1 means that it was altered, or signed by another key than --signed-by.
    """
    try:
        kit = read(file)
        if signed_by is not None:
            check_signer(kit, signed_by)
    except KitError as error:
        fail(str(error))
    shown = describe(kit)
    if as_json:
        print_json(shown)
    else:
        shown["recipients"] = ", ".join(shown["recipients"]) or "whoever knows the passphrase"
        typer.echo("\n".join(f"{name.replace('_', ' '):12} {value}" for name, value in shown.items()))
        if signed_by is None:
            typer.echo("Compare the fingerprint after 'signed by' with what the hub told you by another way.")


def describe(kit: Kit) -> dict[str, Any]:
    """A kit as a JSON document without secrets."""
    shown = json.loads(kit.header.model_dump_json())
    return {**shown, "signed_by": kit.signed_by, "expired": datetime.now(UTC) >= kit.header.expires_at}


@app.command(
    "open",
    epilog="Example: flipctl kit open Trust_3.flipkit --trust Trust_3 --into /opt/flip/kit "
    "--identity /root/flip-kit.key --signed-by SHA256:bXb1jbQCKFIF3kVsO8MzsSbgJ4tXBhQKwX9DTsrbLnI",
)
def open_kit(
    file: KitFile,
    trust: Annotated[str, typer.Option(help="Name of the trust this host is.")],
    into: Annotated[Path, typer.Option(help="Folder for the kit (0700); replaced as a whole.")],
    signed_by: SignedBy,
    identity_file: Annotated[
        Path | None, typer.Option("--identity", help="Private key that opens it: OpenSSH Ed25519 or an age key file.")
    ] = None,
    allow_older: Annotated[bool, typer.Option(help="Go back to a kit older than the one that lies there.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Open a kit at its site. Refused kits change nothing; opening the same kit again changes nothing either.

    A passphrase is asked for, or taken from FLIP_KIT_PASSPHRASE.
    """

    def opener(header: Header) -> Identity | str:
        if not header.recipients:
            return ask_passphrase("Passphrase of the kit")
        if identity_file is None:
            raise KitError(f"it is for {', '.join(header.recipients)}; name the private key with --identity")
        return identity(identity_file, ask_passphrase)

    try:
        header, changed = install(
            file,
            trust=trust,
            into=into,
            signed_by=signed_by,
            opener=opener,
            allow_older=allow_older,
            now=datetime.now(UTC),
        )
    except KitError as error:
        fail(f"kit refused: {error}")
    except OSError as error:
        fail(f"{error}; nothing was changed")
    if as_json:
        print_json({"changed": changed, "into": str(into), **json.loads(header.model_dump_json())})
    else:
        done = "is in" if changed else "was already in"
        typer.echo(f"The kit of {header.trust_name} (serial {header.serial}) {done} {into}. Delete {file}.")
