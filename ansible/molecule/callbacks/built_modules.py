"""Keeps the modules that Ansible has packed, with all they import and its bytecode, for its later runs.

Each run packs each module anew (0.3 s of CPU time and more), and a scenario is eight runs. On the host each call of a
module compiles anew all that it imports, more than half of its CPU time. The folder is that of these modules alone: see
`built_modules` in run.py.
"""

import base64
import dataclasses
import io
import marshal
import os
import zipfile
from importlib import util
from pathlib import Path

from ansible import constants
from ansible.executor import module_common
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: built_modules
type: aggregate
short_description: keeps packed modules for later runs
description: Packed modules are in the folder that FLIP_BUILT_MODULES names, and not in the run's own.
requirements: [the environment variable FLIP_BUILT_MODULES]
"""

UNCHECKED = 1  # PEP 552: bytecode that is not compared with its source, whose time in an archive is too coarse


def with_bytecode(packed: bytes) -> bytes:
    """The archive with this Python's bytecode beside each source; another Python on a host passes over it."""
    made = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(base64.b64decode(packed))) as sources,
        zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as both,
    ):
        for entry in sources.infolist():
            source = sources.read(entry)
            both.writestr(entry, source)
            if entry.filename.endswith(".py"):
                code = compile(source, entry.filename, "exec", dont_inherit=True)
                kind = UNCHECKED.to_bytes(4, "little")
                compiled = util.MAGIC_NUMBER + kind + util.source_hash(source) + marshal.dumps(code)
                both.writestr(f"{entry.filename}c", compiled)
    return base64.b64encode(made.getvalue())


class CallbackModule(CallbackBase):
    """Makes the run's folder of packed modules a link, before the first task."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "built_modules"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        # Where ansible/executor/module_common.py looks, and which Ansible removes when the run ends: the link alone.
        Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache").symlink_to(os.environ["FLIP_BUILT_MODULES"])
        packed = module_common._CachedModule
        dump = packed.dump

        def dump_with_bytecode(module: module_common._CachedModule, path: str) -> None:
            dump(dataclasses.replace(module, zip_data=with_bytecode(module.zip_data)), path)

        packed.dump = dump_with_bytecode
