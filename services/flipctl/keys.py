"""`flipctl keys`: secrets for a hub and its trusts, written into an env file and nowhere else."""

import json
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from flip_common.keys import PayloadKey, generate_api_key, hash_api_key
from flip_common.wire.model import TrustName
from flipctl import envfile
from flipctl.output import JsonFlag, fail, print_json

app = typer.Typer(help="Make secrets.", no_args_is_help=True)

_TRUST_NAME: TypeAdapter[str] = TypeAdapter(TrustName)
_MAPS = ("TRUST_API_KEYS", "TRUST_API_KEY_HASHES", "TRUST_AES_KEYS")


@app.callback()
def _keys() -> None:
    """Make secrets."""


@app.command(epilog="Example: flipctl keys generate --env-file hub.env --trust Trust_1 --trust Trust_2")
def generate(
    env_file: Annotated[Path, typer.Option(help="File to write into (mode 0600); other lines in it are kept.")],
    trust: Annotated[list[str] | None, typer.Option(help="Trust to make keys for; repeat for several.")] = None,
    rotate: Annotated[bool, typer.Option(help="Replace keys that are already there.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make the keys a hub starts with: one API key and one payload key a trust, and the FL server's key.

    TRUST_API_KEYS and TRUST_AES_KEYS go to the trusts, TRUST_API_KEY_HASHES, TRUST_AES_KEYS and
    INTERNAL_SERVICE_KEY_HASH to the hub, INTERNAL_SERVICE_KEY to the FL server. No secret is printed.
    """
    trusts = trust or []
    for name in trusts:
        try:
            _TRUST_NAME.validate_python(name)
        except ValidationError:
            fail(f"trust name {name!r}: use letters, digits, '_', '.' and '-', at most 63, no sign first")
    try:
        present = envfile.read(env_file)
        maps: dict[str, dict[str, str]] = {name: json.loads(present.get(name, "{}")) for name in _MAPS}
    except ValueError as error:
        fail(str(error))
    made = []
    for name in trusts:
        if name in maps["TRUST_API_KEYS"] and not rotate:
            continue
        key = generate_api_key()
        maps["TRUST_API_KEYS"][name] = key
        maps["TRUST_API_KEY_HASHES"][name] = hash_api_key(key)
        maps["TRUST_AES_KEYS"][name] = PayloadKey.generate().to_base64()
        made.append(name)
    values = {name: json.dumps(value) for name, value in maps.items() if value}
    service_key = present.get("INTERNAL_SERVICE_KEY")
    if service_key is None or rotate:
        service_key = generate_api_key()
        made.append("INTERNAL_SERVICE_KEY")
    values |= {"INTERNAL_SERVICE_KEY": service_key, "INTERNAL_SERVICE_KEY_HASH": hash_api_key(service_key)}
    envfile.update(env_file, values)
    kept = [name for name in (*trusts, "INTERNAL_SERVICE_KEY") if name not in made]
    if as_json:
        print_json({"env_file": str(env_file), "made": made, "kept": kept})
    else:
        typer.echo(f"{env_file}: made {', '.join(made) or 'nothing'}; kept {', '.join(kept) or 'nothing'}")
