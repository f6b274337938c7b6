"""`flipctl airlock`: what is done with bundles. A site has the same verbs before it has flipctl: `flip-airlock.pyz`."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from flip_airlock import AirlockError, inspection, provision, signature, upkeep
from flip_airlock.bundle import SUMS, Signers, faults, open_bundle
from flip_airlock.site import FOLDER, Site

app = typer.Typer(
    name="flip-airlock",
    help="Bundles: a release for a site without internet, packed, checked, loaded and accounted for.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

BundleFolder = Annotated[Path, typer.Argument(help="Folder of the bundle's files.")]
SiteFolder = Annotated[Path, typer.Option("--site-folder", help="Where the site keeps what was loaded.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
SignersFile = Annotated[
    Path | None, typer.Option("--signers", help="Allowed signers file to trust instead of the site's own.")
]


@contextlib.contextmanager
def errors() -> Iterator[None]:
    """Ends a verb with the reason, where there is one."""
    try:
        yield
    except (AirlockError, OSError) as error:
        typer.echo(f"error: {error}{'; run it as root' if isinstance(error, PermissionError) else ''}", err=True)
        raise typer.Exit(1) from None


def say(text: str) -> None:
    """A line of progress, on standard error."""
    typer.echo(text, err=True)


def _print(document: dict[str, Any], text: str, *, as_json: bool) -> None:
    typer.echo(json.dumps(document, indent=2) if as_json else text)


def _signers(site: Site, given: Path | None) -> Signers:
    return Signers(given, site.signers.revoked) if given else site.signers


def _not_into_a_bundle(out: Path) -> None:
    if (out.parent / SUMS).exists():
        raise AirlockError(f"{out} would lie in a bundle's folder, where nothing else may lie; name a place elsewhere")


@app.command(epilog="Example: flipctl airlock verify /mnt/airlock/flip-1.2.0")
def verify(
    bundle: BundleFolder, site_folder: SiteFolder = FOLDER, signers: SignersFile = None, as_json: JsonFlag = False
) -> None:
    """Check a bundle: who signed it, and that every file of it is there and as it was signed. Nothing is unpacked."""
    with errors():
        opened = open_bundle(bundle, _signers(Site(site_folder), signers))
        broken = faults(opened, None, say)
    content = opened.content
    document = {
        "release": content.release,
        "counter": content.counter,
        "signer": opened.signer,
        "bundle": opened.proof.digest,
        "faults": broken,
    }
    lines = [f"{name}: {what}" for name, what in broken.items()]
    good = f"release {content.release} (counter {content.counter}), signed by {opened.signer}: all files are as signed"
    _print(document, "\n".join(lines) or good, as_json=as_json)
    if broken:
        raise typer.Exit(1)


@app.command(epilog="Example: flipctl airlock missing /mnt/airlock/flip-1.2.0")
def missing(
    bundle: BundleFolder, site_folder: SiteFolder = FOLDER, signers: SignersFile = None, as_json: JsonFlag = False
) -> None:
    """Name the files of a bundle that were lost or damaged on the way, and the command that makes just those again."""
    with errors():
        opened = open_bundle(bundle, _signers(Site(site_folder), signers))
        broken = faults(opened, None, say)
    lines = [f"{name}: {what}" for name, what in broken.items()]
    if segments := [file.name for file in opened.content.segments if file.name in broken]:
        again = f"flipctl airlock pack --release {opened.content.release} --only {','.join(segments)}"
        lines += ["", f"to have these made again: {again}, with the other options as before"]
    if len(broken) > len(segments):
        lines += ["", "the others lie in the folder that the bundle was packed into"]
    _print(
        {"release": opened.content.release, "missing": broken},
        "\n".join(lines) if broken else "nothing is missing",
        as_json=as_json,
    )
    if broken:
        raise typer.Exit(1)


@app.command(epilog="Example: flipctl airlock inspect flip-1.2.0")
def inspect(bundle: BundleFolder, as_json: JsonFlag = False) -> None:
    """Show what a bundle holds. The signature is not asked for: verify does that."""
    with errors():
        document = inspection.describe(inspection.read_unsigned(bundle))
    _print(document, inspection.text(document), as_json=as_json)


@app.command(epilog="Example: flipctl airlock diff flip-1.1.0 flip-1.2.0")
def diff(
    old: Annotated[Path, typer.Argument(help="A bundle's folder, or a release's at a site.")],
    new: Annotated[Path, typer.Argument(help="Another.")],
    as_json: JsonFlag = False,
) -> None:
    """Show what changed from one bundle to another: images and files that came, went or are others now."""
    with errors():
        document = inspection.difference(inspection.read_unsigned(old), inspection.read_unsigned(new))
    _print(document, inspection.difference_text(document), as_json=as_json)


@app.command(epilog="Example: flipctl airlock load /mnt/airlock/flip-1.2.0")
def load(
    bundle: BundleFolder,
    site_folder: SiteFolder = FOLDER,
    files_only: Annotated[
        bool, typer.Option("--files-only", help="Leave the images for later: Docker is not installed yet.")
    ] = False,
    allow_rollback: Annotated[
        str | None, typer.Option(help="Release that may be loaded although this site has had a newer one.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Take a bundle in: files are laid out, images given to Docker. What is here already is not loaded again.

    Nothing is unpacked before the signature and the segments that are needed were checked. After an interruption of
    any kind, run it again.
    """
    with errors():
        site = Site(site_folder)
        done = site.load(bundle, images=not files_only, allow_rollback=allow_rollback, say=say)
        provision.offer_packages(site)
    document = {**vars(done), "images": list(done.images)}
    taken = f"{len(done.images)} images to Docker, {done.blobs} blobs taken in, {done.bytes} bytes of the bundle read"
    _print(document, f"release {done.release} is here (signed by {done.signer}): {taken}", as_json=as_json)


@app.command(epilog="Example: flipctl airlock ansible")
def ansible(site_folder: SiteFolder = FOLDER, as_json: JsonFlag = False) -> None:
    """Install Ansible from the release that was loaded last, for a host that provisions itself."""
    with errors():
        program = provision.install_ansible(Site(site_folder))
    playbook = site_folder / "current/files/playbook/ansible/site_local_trust.yml"
    text = f"now: {program} -i INVENTORY {playbook}"
    _print({"ansible_playbook": str(program), "playbook": str(playbook)}, text, as_json=as_json)


@app.command(epilog="Example: flipctl airlock rollback 1.1.0")
def rollback(
    release: Annotated[str, typer.Argument(help="A release that was loaded here before.")],
    site_folder: SiteFolder = FOLDER,
    as_json: JsonFlag = False,
) -> None:
    """Have a release count again that was here before, from what the site kept. Then run the playbook with it."""
    with errors():
        site = Site(site_folder)
        done = site.rollback(release, say)
        provision.offer_packages(site)
    document = {**vars(done), "images": list(done.images)}
    _print(document, f"release {release} counts again: {len(done.images)} images to Docker", as_json=as_json)


@app.command(epilog="Example: flipctl airlock inventory Trust_3 --out Trust_3.inventory")
def inventory(
    name: Annotated[str, typer.Argument(help="The site's name.")],
    out: Annotated[Path, typer.Option(help="The file to write; its signature goes beside it, as FILE.sig.")],
    site_folder: SiteFolder = FOLDER,
    as_json: JsonFlag = False,
) -> None:
    """Write what this site holds, signed, to carry out: the next bundle brings only what is missing then."""
    with errors():
        site = Site(site_folder)
        _not_into_a_bundle(out)
        out.write_bytes(site.inventory(name))
        key = site.key()
        signature.sign(out, key, signature.INVENTORY)
    public = key.with_suffix(".pub").read_text().split(" ")
    line = f"{name} {' '.join(public[:2])}".strip()
    text = f"{out} and {out}.sig may go out. Whoever packs for this site needs this line, once, to trust them:\n{line}"
    _print({"file": str(out), "allowed_signer": line}, text, as_json=as_json)


@app.command(epilog="Example: flipctl airlock receipt --json")
def receipt(
    site_folder: SiteFolder = FOLDER,
    out: Annotated[Path | None, typer.Option(help="Write all receipts to this file, signed, to carry out.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what was loaded here and when. Each receipt names the digest of the one before, so a change is found."""
    with errors():
        site = Site(site_folder)
        chain = site.receipts.chain()
        if out:
            _not_into_a_bundle(out)
            out.write_text(json.dumps({"receipts": chain}, indent=2) + "\n")
            signature.sign(out, site.key(), signature.RECEIPT)
    lines = [
        f"{each['number']:>4}  {each['time']}  {each['action']} {each['release']} (counter {each['counter']}), "
        f"signed by {each['signer']}, bundle {each['bundle'][:16]}, {len(each['loaded'])} images to Docker"
        for each in chain
    ]
    _print({"receipts": chain}, "\n".join(lines) or "nothing was loaded here yet", as_json=as_json)


@app.command(epilog="Example: flipctl airlock repair /mnt/airlock/flip-1.2.0")
def repair(
    bundle: Annotated[Path | None, typer.Argument(help="A bundle that brings what is damaged here.")] = None,
    site_folder: SiteFolder = FOLDER,
    as_json: JsonFlag = False,
) -> None:
    """Read everything that the site keeps; what is damaged is removed, and taken from a bundle where one is named."""
    with errors():
        site = Site(site_folder)
        damaged = upkeep.damaged(site, say)
        taken = upkeep.refill(site, bundle, say) if bundle and upkeep.lacking(site) else 0
        laid, altered = upkeep.mend(site)
        lacking = sorted(upkeep.lacking(site))
    document = {"damaged": sorted(damaged), "taken": taken, "laid_out": laid, "altered": altered, "lacking": lacking}
    lines = {
        f"{len(damaged)} damaged blobs removed": damaged,
        f"{taken} blobs taken from the bundle": taken,
        f"files of {', '.join(laid)} laid out again: some were not as they were signed": laid,
        f"files of {', '.join(altered)} are not as they were signed, and what would mend them is lacking": altered,
        f"{len(lacking)} blobs are lacking: name a bundle that brings them (repair BUNDLE)": lacking,
    }
    text = "\n".join(line for line, applies in lines.items() if applies)
    _print(document, text or "all that is kept here is whole", as_json=as_json)
    if lacking:
        raise typer.Exit(1)


@app.command(epilog="Example: flipctl airlock prune --keep 1.1.0")
def prune(
    keep: Annotated[list[str] | None, typer.Option(help="Release to keep besides the current one; repeatable.")] = None,
    site_folder: SiteFolder = FOLDER,
    as_json: JsonFlag = False,
) -> None:
    """Remove releases that are not needed, and the blobs that no other one needs. Images in Docker stay."""
    with errors():
        removed, freed = upkeep.prune(Site(site_folder), set(keep or []))
    text = f"removed {', '.join(removed) or 'no release'}; {freed >> 20} MiB freed"
    _print({"removed": removed, "bytes": freed}, text, as_json=as_json)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `flip-airlock.pyz`."""
    os.umask(0o022)  # apt reads what is laid out
    app(args=list(arguments) if arguments is not None else sys.argv[1:], prog_name="flip-airlock")
