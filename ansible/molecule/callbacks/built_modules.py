"""Keeps the modules that Ansible has packed, with all they import, for its later runs.

Each run packs each module anew (0.3 s of CPU time and more), and a scenario is eight runs. The folder is that of these
modules alone: see `built_modules` in run.py.
"""

import os
from pathlib import Path

from ansible import constants
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: built_modules
type: aggregate
short_description: keeps packed modules for later runs
description: Packed modules are in the folder that FLIP_BUILT_MODULES names, and not in the run's own.
requirements: [the environment variable FLIP_BUILT_MODULES]
"""


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
