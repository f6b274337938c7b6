"""A host's second day: a trust's upgrade and the way back; a trust's or the hub's backup restored onto another host."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from federation import airlock, sites
from federation.docker import docker, inside
from federation.plan import FOLDER, HUB, Site
from federation.playbooks import Order, play
from federation.trials import well
from flipctl.demo.checks import Check

BACKUPS = "/opt/flip/backup"
# What needs the records, dials the hub, or keeps a password with data that are in no backup waits for the restore.
LATER = ("--skip-tags", "trust,fl-client,xnat,observability")
TRUST_PLAYBOOK, HUB_PLAYBOOK = "site_local_trust", "site_hub"
MOVED = "a restore onto another host"
SMALL = 5_000_000


@contextmanager
def later_release(images: Sequence[str], old: str, new: str) -> Iterator[None]:
    """A release of the same programs under other image ids, in the engine for as long as it is packed."""
    made = [f"flip/{image}:{new}" for image in images]
    for image, tag in zip(images, made, strict=True):
        text = f"FROM flip/{image}:{old}\nLABEL org.opencontainers.image.version={new}\n"
        docker("build", "--quiet", "--tag", tag, "-", feed=text)
    try:
        yield
    finally:
        docker("rmi", *made)


def brought(size: int) -> Check:
    """That a bundle which changes labels alone is small, whatever the images are."""
    return Check("an upgrade brings what changed alone", size < SMALL, f"{size / 1e6:.2f} MB of segments")


def move(site: Site, playbook: str, new_host: Callable[[Site], None], release: str, *prepare: str) -> None:
    """A host is lost, and its backup restored onto a bare one, as docs/backup.md says.

    Args:
        site: the site of the host.
        playbook: that makes it.
        new_host: puts a bare host there.
        release: what it ran, and will.
        prepare: options of the playbook before the restore.
    """
    host, folder = site.container(), FOLDER / "backup" / site.name
    run(site, "backed.up", "backup")
    name = inside(host, "ls", BACKUPS).split()[-1]
    if folder.exists():
        shutil.rmtree(folder)
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    docker("cp", f"{host}:{BACKUPS}/{name}", folder)
    sites.remove_host(site)
    new_host(site)
    this = ("-e", f"federation_release={release}")
    run(site, "new.host", playbook, *this, *prepare)
    docker("cp", folder, f"{host}:{BACKUPS}/{name}")
    run(site, "restored", "restore", "-e", f"flip_backup_name={name}")
    run(site, "moved", playbook, *this)


def run(site: Site, name: str, playbook: str, *options: str) -> None:
    """Runs a playbook on the site's host alone."""
    play(Order(f"{site.name}.{name}", playbook, ("--limit", site.name, *options)))


def move_hub(new_host: Callable[[Site], None], release: str) -> list[Check]:
    """The hub's host is lost, and its backup restored onto a bare one."""
    move(HUB, HUB_PLAYBOOK, new_host, release)
    return [well(HUB, MOVED)]


class DayTwo:
    """What an operator does to a trust's host that serves; each verb returns what came of it."""

    def __init__(self, site: Site, release: str, new_host: Callable[[Site], None]) -> None:
        self._site, self._release, self._new_host = site, release, new_host
        self._later = f"{release}-later"
        self._records = self._database()

    def upgrade(self, images: Sequence[str], suite: str) -> list[Check]:
        """To a later release by the playbook, with the one before kept; its bundle brings what the site lacks."""
        later = self._later
        with later_release(images, self._release, later):
            size = airlock.pack(later, images, suite, *airlock.carry_inventory_out(self._site))
        self._play("upgraded", federation_release=later, flip_images_keep_releases=[self._release])
        return [*self._found("an upgrade", later), brought(size)]

    def go_back(self) -> list[Check]:
        """To the release before, whose images are still there."""
        self._play("went.back", federation_release=self._release, flip_images_keep_releases=[self._later])
        return self._found("the way back", self._release)

    def move(self) -> list[Check]:
        """The host is lost, and its backup restored onto a bare one, which has no records of its own."""
        move(self._site, TRUST_PLAYBOOK, self._new_host, self._release, *LATER, "-e", "flip_omop_load_file=")
        return self._found(MOVED, self._release)

    def _play(self, name: str, **variables: object) -> None:
        run(self._site, name, TRUST_PLAYBOOK, "-e", json.dumps(variables))

    def _database(self) -> dict[str, str]:
        found: dict[str, str] = sites.state(self._site)["database"]
        return found

    def _found(self, after: str, release: str) -> list[Check]:
        name = self._site.name
        images = inside(
            self._site.container(), "docker", "ps", "--filter", "name=^flip-", "--format", "{{.Image}}"
        ).split()
        releases = {image.partition(":")[2] for image in images}
        other = [dump for dump, digest in self._database().items() if digest != self._records[dump]]
        told = f"not the same: {', '.join(other)}" if other else "schema, records and roles by their dumps"
        return [
            Check(f"after {after} {name} runs release {release}", releases == {release}, f"{len(images)} containers"),
            Check(f"after {after} {name} has the same records", not other, told),
            well(self._site, after),
        ]
