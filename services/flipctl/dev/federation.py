"""Brings the development federation up and down; running it again goes on where it was."""

import asyncio
import contextlib
import fcntl
import importlib.util
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import yaml

from flip_common.keys import generate_api_key
from flip_fl.certs import make_net_certificates
from flipctl import envfile
from flipctl.api import Api, wait_for
from flipctl.data import Manifest, load_omop
from flipctl.demo.progress import Progress
from flipctl.demo.run import make_data
from flipctl.dev import DevError, docker, layout
from flipctl.dev.layout import HUB, HUB_PORT, PARTS, SHARED_NETWORK, TRUSTS, Plan

ADMIN = "admin@dev.example"
API_URL = f"https://localhost:{HUB_PORT}/api"
PATIENTS, ONLINE_SECONDS = 20, 120
# A value each, made once; those of trusts have the trust's name before them.
BASE_SECRETS: Mapping[str, Callable[[], str]] = {
    "INTERNAL_SERVICE_KEY": generate_api_key,
    "FL_API_KEY": generate_api_key,
    "DATABASE_PASSWORD": lambda: secrets.token_urlsafe(24),
}
TRUST_SECRETS: Mapping[str, Callable[[], str]] = {
    "TRUST_INTERNAL_SERVICE_KEY": generate_api_key,
    "TRUST_APP_SERVICE_KEY": generate_api_key,
    "READER_PASSWORD": lambda: secrets.token_urlsafe(24),
}


class Federation:
    """The federation whose configuration lies in `folder` of a checkout.

    Every method raises DevError when Docker does not do as asked, and ApiError when the hub does not.
    """

    def __init__(self, folder: Path, code: Path, release: str, progress: Progress) -> None:
        self.folder, self._code, self._release, self._progress = folder, code, release, progress
        self._secrets_file, self._debug_file = folder / "secrets.env", folder / "debug.json"
        self.ca = folder / "certificates" / "ca.crt"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps others out of the folder, which nobody but its owner may enter: what lies in it containers can read."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise DevError(f"another `flipctl dev` is at work in {self.folder}; wait for it to end") from None
        finally:
            os.close(descriptor)

    def networks(self) -> list[str]:
        """Makes the network that hub and trusts share; those of one part alone are its project's. Names made."""
        return [SHARED_NETWORK] if docker.ensure_network(SHARED_NETWORK) else []

    def up(self, parts: Sequence[str]) -> None:
        """Starts these parts: the hub first, then trusts, which it registers where it has not."""
        self.networks()
        if HUB in parts:
            with self._progress.step("hub and FL server start"):
                self._start_hub()
        wanted = [part for part in parts if part != HUB]
        if not wanted:
            return
        if not self.has(HUB):
            raise DevError("there is no hub yet, and trusts are registered there first: flipctl dev up hub")
        manifest = make_data(self.folder.parent / "dev-data", PATIENTS, self._progress)
        with self.sign_in() as admin:
            for part in wanted:
                with self._progress.step(f"{part} starts"):
                    self._register(admin, part)
                    self._write(part)
                    self._load_records(part, manifest)
                    self._make_fl_key(part)
                    self._project(part).up(wait=not self.debugged())
            if not self.debugged():
                with self._progress.step("trusts and their FL clients are online"):
                    wait_for("trusts and their FL clients are online", lambda: _online(admin, wanted), ONLINE_SECONDS)

    def down(self, parts: Sequence[str], *, data: bool) -> None:
        """Stops and removes these parts; with `data` all that was kept of them, too."""
        if data and set(parts) != set(PARTS):
            raise DevError("data of the parts belong together: remove them all, `flipctl dev down --data`")
        for part in reversed(parts):
            if self.has(part):
                with self._progress.step(f"{part} ends"):
                    self._project(part).down(data=data)
        if data:
            docker.remove_network(SHARED_NETWORK)
            for path in self.folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def debug(self, names: Sequence[tuple[str, str]], *, on: bool) -> dict[str, int]:
        """Has these services (part, name) wait for a debugger, or run as usual again. Returns all that wait."""
        waiting = self.debugged()
        for part, service in names:
            if not self.has(part):
                raise DevError(f"{part} is not there yet: flipctl dev up {part}")
            key = f"{part}/{service}"
            if on and key not in waiting:
                taken = set(waiting.values())
                waiting[key] = next(port for port in range(layout.DEBUG_PORT, 2**16) if port not in taken)
            elif not on:
                waiting.pop(key, None)
        self._debug_file.write_text(json.dumps(waiting))
        for part in {part for part, _ in names}:
            self._write(part)
            self._project(part).up([service for at, service in names if at == part], wait=False)
        return waiting

    def has(self, part: str) -> bool:
        """Whether the part was started before."""
        return self._project(part).file.exists()

    def debugged(self) -> dict[str, int]:
        """Services that wait for a debugger, as PART/SERVICE, and the port of each."""
        found: dict[str, int] = json.loads(self._debug_file.read_text()) if self._debug_file.exists() else {}
        return found

    def renew_internal_key(self) -> None:
        """Gives hub and FL server a new key for their talk; jobs that run fail."""
        envfile.update(self._secrets_file, {"INTERNAL_SERVICE_KEY": generate_api_key()})
        self._start_hub()

    def renew_trust_keys(self) -> list[str]:
        """Gives every registered trust new keys at the hub, waits until it uses them, and ends the old ones."""
        present = envfile.read(self._secrets_file)
        renewed = [part for part in TRUSTS if f"{layout.prefix_of(part)}TRUST_ID" in present]
        with self.sign_in() as admin:
            for part in renewed:
                self._renew(admin, part, f"/trusts/{present[f'{layout.prefix_of(part)}TRUST_ID']}/keys")
        return renewed

    def _renew(self, admin: Api, part: str, path: str) -> None:
        live = [key["key_id"] for key in admin.get(path) if key["retired_at"] is None]  # the oldest first
        if len(live) < 2:  # else an earlier run has made and kept them, and was interrupted
            made = admin.post(path)
            self._keep(part, made)
            live.append(made["key_id"])
        self._write(part)
        self._project(part).up()
        wait_for(f"{part} uses its new key", lambda: _used(admin, path, live[-1]), ONLINE_SECONDS)
        for key_id in live[:-1]:
            admin.delete(f"{path}/{key_id}")

    def sign_in(self) -> Api:
        """The administrator's session."""
        return Api.sign_in(API_URL, ADMIN, envfile.read(self._secrets_file)["ADMIN_PASSWORD"], self.ca)

    def _start_hub(self) -> None:
        self._need(BASE_SECRETS)
        if not self.ca.exists():
            make_net_certificates(self.folder / "certificates", layout.CERTIFICATE_NAMES)
        self._write(HUB)
        project = self._project(HUB)
        project.up(wait=not self.debugged())
        if "ADMIN_PASSWORD" in envfile.read(self._secrets_file):
            return
        password = secrets.token_urlsafe(12)
        create = ("python", "-m", "flip_hub", "create-admin", "--email", ADMIN, "--env-file", "/config/service.env")
        project.compose("exec", "--no-TTY", "hub", *create, feed=f"{password}\n")
        envfile.update(self._secrets_file, {"ADMIN_PASSWORD": password})

    def _register(self, admin: Api, part: str) -> None:
        self._need({f"{layout.prefix_of(part)}{name}": make for name, make in TRUST_SECRETS.items()})
        if f"{layout.prefix_of(part)}TRUST_ID" not in envfile.read(self._secrets_file):
            self._keep(part, admin.post("/trusts", {"name": part}))

    def _keep(self, part: str, kit: Mapping[str, str]) -> None:
        values = {"TRUST_ID": kit["trust_id"], "TRUST_API_KEY": kit["api_key"], "AES_KEY_BASE64": kit["aes_key_base64"]}
        prefix = layout.prefix_of(part)
        envfile.update(self._secrets_file, {f"{prefix}{name}": value for name, value in values.items()})

    def _need(self, wanted: Mapping[str, Callable[[], str]]) -> None:
        present = envfile.read(self._secrets_file)
        envfile.update(self._secrets_file, {name: make() for name, make in wanted.items() if name not in present})

    def _load_records(self, part: str, manifest: Manifest) -> None:
        project = self._project(part)
        project.up(["omop-db"])
        password = quote(envfile.read(self._secrets_file)["DATABASE_PASSWORD"], safe="")
        port = project.published("omop-db", 5432)
        url = f"postgresql://flip_owner:{password}@127.0.0.1:{port}/omop"
        with contextlib.suppress(FileExistsError):  # loaded by an earlier run
            asyncio.run(load_omop(url, manifest, part))
        prepare = ("prepare-database", "--env-file", "/config/service.env")
        project.compose("run", "--rm", "--no-deps", "--no-TTY", "data-access-api", *prepare)

    def _make_fl_key(self, part: str) -> None:
        """Beforehand, since trust-api takes it to the hub when it starts."""
        make = "test -f /data/site.key.pub || exec python -m flip_fl.site_key /data/site.key"
        self._project(part).compose(
            "run", "--rm", "--no-deps", "--no-TTY", "--entrypoint", "sh", "fl-client", "-c", make
        )

    def _project(self, part: str) -> docker.Project:
        return docker.Project(layout.project(part), self.folder / part / "compose.yml")

    def _write(self, part: str) -> None:
        """The part's configuration. Containers read it as users of their own: within the closed folder it is open."""
        plan = Plan(
            folder=self.folder,
            dicom=self.folder.parent / "dev-data",
            release=self._release,
            secrets=envfile.read(self._secrets_file),
            debugged=self.debugged(),
            code=self._code,
            debugpy=_debugpy() if self.debugged() else Path(),
        )
        described = layout.compose(part, plan)
        for service in described["services"]:
            _folder(self.folder / part / service)
        _file(self.folder / part / "compose.yml", yaml.safe_dump(described, sort_keys=False))
        for service, values in layout.settings(part, plan).items():
            lines = "".join(f"{name}={value}\n" for name, value in values.items())
            _file(self.folder / part / service / "service.env", lines)
            for name in layout.certificate_files(service):
                source = self.ca if name == "ca.pem" else self.ca.with_name(name)
                _file(self.folder / part / service / name, source.read_text())
        database = "hub-db" if part == HUB else "omop-db"
        _file(self.folder / part / database / "password", plan.secrets["DATABASE_PASSWORD"] + "\n")


def _folder(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)


def _file(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o644)


def _debugpy() -> Path:
    found = importlib.util.find_spec("debugpy")
    if found is None or found.origin is None:
        raise DevError("debugpy is not installed here: make setup")
    return Path(found.origin).parent


def _online(admin: Api, parts: Sequence[str]) -> bool | None:
    up = {trust["name"] for trust in admin.get("/trusts") if trust["online"]}
    sites = {site["trust"] for net in admin.get("/nets") for site in net["sites"] if site["online"]}
    return True if up & sites >= set(parts) else None


def _used(admin: Api, path: str, key_id: str) -> bool | None:
    return True if any(key["key_id"] == key_id and key["first_used_at"] for key in admin.get(path)) else None
