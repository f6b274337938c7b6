"""Docker's images by way of its own program: a bare host needs no Python package for it."""

import json
import os
import subprocess
from pathlib import Path

GIB = 1 << 30
CONTAINERD = "/var/lib/containerd"
PROBE = "flip-image-probe"


class Engine:
    """The engine of this host; `module` is the Ansible module that fails where a command does."""

    def __init__(self, module):
        self.module = module

    def run(self, *arguments, options=(), data=None, hint=""):
        """Output of `docker ARGUMENTS`; ends the module where that fails, with what Docker said and the hint."""
        status, out, error = self.module.run_command(["docker", *options, *arguments], data=data)
        if status:
            said = error.strip() or out.strip()
            self.module.fail_json(msg=f"`docker {' '.join(arguments)}` failed: {said}{'; ' if hint else ''}{hint}")
        return out

    def folder(self):
        """Where the engine keeps images. Ends the module where no engine answers."""
        return keeps_images(json.loads(self.run("info", "--format", "{{json .}}")))

    def image(self, reference):
        """What the engine says of an image; None where it has none."""
        status, out, _ = self.module.run_command(["docker", "image", "inspect", reference])
        return None if status else json.loads(out)[0]

    def unusable(self, reference):
        """Why no container can be made of an image; empty where one can.

        Docker 29 says that it loaded an archive of which it could not unpack a layer.
        """
        self.forget_probe()
        command = ["docker", "create", "--pull", "never", "--network", "none", "--name", PROBE, reference, "true"]
        status, _, error = self.module.run_command(command)
        self.forget_probe()
        return error.strip() if status else ""

    def forget_probe(self):
        """Removes the container of `unusable`, which a run that was interrupted may have left."""
        if there := self.run("ps", "--all", "--quiet", "--filter", f"name=^{PROBE}$").split():
            self.run("rm", *there)

    def load(self, path, hint):
        """Loads an archive; ends the module where that fails. Engines before 23 do not read .zst, so zstd does."""
        if not path.endswith(".zst"):
            self.run("load", "--quiet", "--input", path, hint=hint)
            return
        zstd, docker = (self.module.get_bin_path(name, required=True) for name in ("zstd", "docker"))
        with subprocess.Popen([zstd, "-dcq", "--", path], stdout=subprocess.PIPE) as unpacking:
            loading = subprocess.run(
                [docker, "load", "--quiet"], stdin=unpacking.stdout, capture_output=True, text=True, check=False
            )
        if loading.returncode or unpacking.returncode:
            said = loading.stderr.strip() or f"zstd ended with status {unpacking.returncode}"
            self.module.fail_json(msg=f"`docker load` of {path} failed: {said}; {hint}")


def keeps_images(info):
    """The folder of an engine's images, by its `docker info`. Those from 29 on leave them to containerd."""
    drivers = dict(info.get("DriverStatus") or [])
    by_containerd = drivers.get("driver-type", "").startswith("io.containerd.snapshotter.")
    return CONTAINERD if by_containerd else info["DockerRootDir"]


def same(archived, present):
    """Whether the engine's image is the archive's.

    Engines that keep images in containerd name them by another digest, so there layers and time of making decide.
    """
    if present is None:
        return False
    if present["Id"] == archived["id"]:
        return True
    return (present["RootFS"].get("Layers"), present.get("Created")) == (archived["layers"], archived["created"])


def contradictions(archives):
    """Tags that two archives give to different images, a text each."""
    found, texts = {}, []
    for archive in archives:
        for image in archive["images"]:
            for tag in image["tags"]:
                first = found.setdefault(tag, (image["id"], archive["path"]))
                if first[0] != image["id"]:
                    texts.append(f"{tag} is one image in {first[1]} and another in {archive['path']}")
    return texts


def plan(wanted, archives, images):
    """(archives to load, references that neither the host nor an archive has).

    Args:
        wanted: references that are to be there.
        archives: as `flip_image_archive.read` gives them, without contradictions.
        images: what the engine has, by reference.
    """
    holders = {
        tag: (archive["path"], image) for archive in archives for image in archive["images"] for tag in image["tags"]
    }
    missing = [name for name in wanted if name not in holders and images.get(name) is None]
    paths = {holders[name][0] for name in wanted if name in holders and not same(holders[name][1], images.get(name))}
    return [archive for archive in archives if archive["path"] in paths], missing


def shortage(archives, root, folder=None):
    """Why there is no room to load these archives; empty where there is.

    Args:
        archives: as `flip_image_archive.read` gives them.
        root: where the engine keeps images.
        folder: where the files will be copied first, if they will.
    """
    # docker load unpacks an archive as a whole before it takes the layers.
    takes = {root: sum(each["bytes"] for each in archives) + max((each["bytes"] for each in archives), default=0)}
    if folder:
        together = root if _device(folder) == _device(root) else folder
        takes[together] = takes.get(together, 0) + sum(each["size"] for each in archives)
    texts = []
    for place, needed in takes.items():
        disk = os.statvfs(_existing(place))
        if (free := disk.f_bavail * disk.f_frsize) < needed:
            texts.append(f"{place} has {free / GIB:.1f} GiB free and {needed / GIB:.1f} GiB are needed")
    return "; ".join(texts)


def _existing(path):
    """The nearest folder above that is there."""
    path = Path(path).resolve()
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _device(path):
    return _existing(path).stat().st_dev


def superfluous(images, prefixes, releases, used):
    """References of releases that nobody needs any more, in the order they are removed in.

    Args:
        images: what the engine says of its images.
        prefixes: what the repositories of ours begin with, without the slash.
        releases: those that stay.
        used: ids of images that containers use, also stopped ones.
    """
    found = set()
    for image in images:
        ours = [tag for tag in image["RepoTags"] or [] if _is_ours(tag, prefixes)]
        old = [tag for tag in ours if tag.rpartition(":")[2] not in releases]
        if image["Id"] in used or not old:
            continue
        found.update(old)
        if old == ours:  # by digest an image would stay although nothing names it
            found.update(name for name in image["RepoDigests"] or [] if _is_ours(name, prefixes))
    return sorted(found, key=lambda name: ("@" not in name, name))  # a tag takes the digests of its repository along


def _is_ours(reference, prefixes):
    return any(reference.startswith(f"{prefix}/") for prefix in prefixes)
