"""Images: of the services from this checkout, of bare hosts, and of what stands around them."""

import os
from pathlib import Path

from federation.docker import FederationError, docker, run
from federation.plan import ROOT
from host_images import bare_host, image_id, saved

MADE_BASE = "flip/debian:bookworm"
TOOLS = "flip-federation-tools"
TOOLS_SUITE = "bookworm"


def build(names: list[str], base: str) -> None:
    """Builds the services' images of this checkout; what did not change comes from Docker's cache.

    Certificates and wheels that pip uses here (`PIP_CERT`, `PIP_FIND_LINKS`) are used in the build, too.
    """
    flipctl = ROOT / ".venv" / "bin" / "flipctl"
    if not image_id(base):
        try:
            docker("pull", "--quiet", base)
        except FederationError:  # no registry answers
            base = MADE_BASE
    if not image_id(base):
        run(flipctl, "images", "base", "--tag", base)
    options = ["--base", base]
    for variable, option in {"PIP_CERT": "--ca", "PIP_FIND_LINKS": "--wheels"}.items():
        if Path(os.environ.get(variable, "-")).exists():
            options += [option, os.environ[variable]]
    run(flipctl, "images", "build", *names, *options, cwd=ROOT)


def tools() -> str:
    """The image of router, name servers, package mirrors and proxy; from Docker's cache if nothing changed."""
    text = Path(__file__).with_name("tools.Dockerfile").read_text(encoding="utf-8")
    docker("build", "--quiet", "--tag", TOOLS, "--build-arg", f"HOST={bare_host(TOOLS_SUITE)}", "-", feed=text)
    return TOOLS


def archives(names: list[str]) -> Path:
    """The folder with an archive of each image, saved once for each image id."""
    return saved(names)
