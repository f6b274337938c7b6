"""Commands that run one into the next, how a part of a backup is packed and sealed, and room on disks."""

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path

PACK = ("zstd", "-q", "-T0", "-3")
UNPACK = ("zstd", "-q", "-d", "-c")
# Run in an image of FLIP, which has pyrage. What is sealed is an age file, which any age program opens.
SEAL = """import pyrage, sys
kind = pyrage.ssh if sys.argv[1].startswith("ssh-") else pyrage.x25519
pyrage.encrypt_io(sys.stdin.buffer, sys.stdout.buffer, [kind.Recipient.from_str(sys.argv[1])])"""
OPEN = """import pyrage, sys
text = open(sys.argv[1], "rb").read()
lines = [line for line in text.decode().splitlines() if line.startswith("AGE-SECRET-KEY-")]
keys = [pyrage.x25519.Identity.from_str(line) for line in lines] or [pyrage.ssh.Identity.from_buffer(text)]
pyrage.decrypt_io(sys.stdin.buffer, sys.stdout.buffer, keys)"""


class BackupError(Exception):
    """It cannot be done; the text says why and what to do."""


def run(*command, feed=None, env=None):
    """Output of a command. Raises BackupError with what it said."""
    done = subprocess.run(command, input=feed or "", capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        raise BackupError(f"{command[0]} ended with status {done.returncode}: {said}")
    return done.stdout


@contextlib.contextmanager
def pipe(*commands, source=subprocess.PIPE, target=subprocess.PIPE, env=None):
    """Runs commands, each into the next.

    Yields the input of the first, or where `source` is given the output of the last, or None where that, too, goes to
    a `target`. Raises BackupError for the first command that fails.
    """
    started, said = [], []
    for command in commands:
        feed = started[-1].stdout if started else source
        sink = target if len(started) == len(commands) - 1 else subprocess.PIPE
        said.append(tempfile.TemporaryFile())  # noqa: SIM115 - read at the end
        started.append(subprocess.Popen(command, stdin=feed, stdout=sink, stderr=said[-1], env=env))
        if len(started) > 1:
            feed.close()
    entry, output = started[0].stdin, started[-1].stdout
    broken = None
    try:
        yield entry or output
        if entry:
            entry.close()
        while output and output.read(1 << 20):
            pass
    except BaseException as error:  # noqa: BLE001 - raised again below
        broken = error
        if not isinstance(error, Exception):  # a signal; else they end by themselves, and may say why it broke
            for process in started:
                process.kill()
    for end in (entry, output):
        with contextlib.suppress(BrokenPipeError):
            if end:
                end.close()
    states = [process.wait() for process in started]
    words = [_read(file) for file in said]
    for index, state in enumerate(states):
        if state > 0 or (state and not broken):  # one that failed by itself is why the rest broke
            raise BackupError(f"{commands[index][0]} ended with status {state}: {words[index]}") from broken
    if broken:
        raise broken


def _read(file):
    with file:
        file.seek(0)
        return file.read().decode(errors="replace").strip()


def _in_image(image, code, argument, *options):
    """A command that runs Python code in FLIP's image, without a network and with nothing it could write to."""
    # Without `--log-driver=none` Docker would keep a copy of all that passes.
    fixed = (
        "--rm",
        "--interactive",
        "--network=none",
        "--read-only",
        "--cap-drop=ALL",
        "--user=0",
        "--log-driver=none",
    )
    return ("docker", "run", *fixed, *options, "--entrypoint=python", image, "-c", code, argument)


def packing(settings):
    """Commands that a part passes on its way to the disk, and the ending of its name."""
    if not settings["recipient"]:
        return (PACK,), ".zst"
    return (PACK, _in_image(settings["image"], SEAL, settings["recipient"])), ".zst.age"


def unpacking(settings, identity, part):
    """Commands that it passes on its way back."""
    if part.suffix != ".age":
        return (UNPACK,)
    mount = f"--volume={Path(identity).resolve()}:/identity:ro"
    return (_in_image(settings["image"], OPEN, "/identity", mount), UNPACK)


def ask_for_space(wanted):
    """Raises BackupError where a file system lacks room. `wanted`: pairs of a path on it and bytes."""
    needed, where = {}, {}
    for path, amount in wanted:
        device = path.stat().st_dev
        needed[device] = needed.get(device, 0) + amount
        where[device] = path
    for device, amount in needed.items():
        free = shutil.disk_usage(where[device]).free
        if free < amount:
            there = f"{where[device]}: {free >> 20} MiB are free there"
            raise BackupError(f"{there}, and {amount >> 20} may be needed; make room, or keep fewer backups")
