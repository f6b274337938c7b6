"""EFS: a file system's policy can be removed."""

from typing import Any


def delete_file_system_policies() -> None:
    """A file system's policy can be deleted; moto has no DeleteFileSystemPolicy.

    https://docs.aws.amazon.com/efs/latest/ug/API_DeleteFileSystemPolicy.html
    """
    from moto.efs.responses import EFSResponse

    def delete_file_system_policy(self: Any) -> tuple[str, dict[str, str]]:
        self.efs_backend.file_systems_by_id[self._get_param("FileSystemId")].file_system_policy = None
        return "{}", {"Content-Type": "application/json"}

    EFSResponse.delete_file_system_policy = delete_file_system_policy  # type: ignore[attr-defined]


MENDS = (delete_file_system_policies,)
