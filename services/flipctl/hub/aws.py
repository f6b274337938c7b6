"""AWS as the verbs ask it."""

from dataclasses import dataclass, field
from typing import Any

from flip_common.settings import SettingsError
from flip_hub.aws import answer, client
from flipctl.hub import HubError


@dataclass(frozen=True)
class Aws:
    """The account's services, in the hub's region unless another is named."""

    region: str
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def __call__(self, service: str, operation: str, /, region: str | None = None, **arguments: Any) -> dict[str, Any]:
        """What AWS answers to an operation, as in `aws("ecs", "describe_clusters")`.

        Raises:
            AwsError: AWS refuses or does not answer.
            HubError: boto3 is not installed, or what AWS's environment says cannot be used.
        """
        key = (service, region or self.region)
        if key not in self._clients:
            try:
                self._clients[key] = client(*key)
            except SettingsError as error:
                raise HubError(str(error)) from None
        return answer(self._clients[key], operation, **arguments)
