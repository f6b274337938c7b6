"""The backup program of flip_backup, imported as it finds its parts on a host."""

import sys

from ansible_tree import ROOT

FILES = ROOT / "ansible" / "roles" / "flip_backup" / "files"
sys.path.insert(0, str(FILES))
import backup  # noqa: E402 - from the folder above
import backup_files  # noqa: E402
import backup_pipes  # noqa: E402

sys.path.remove(str(FILES))
__all__ = ["FILES", "backup", "backup_files", "backup_pipes"]
