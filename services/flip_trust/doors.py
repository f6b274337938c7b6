"""The keys that open a trust's own services: one for trust-api, one for the apps its FL client runs."""

from pydantic import Field, SecretStr

from flip_common.keys import hash_api_key
from flip_common.settings import ServiceSettings


class DoorSettings(ServiceSettings):
    """Settings of a service that other processes of the trust call.

    An app is a researcher's code. Its key opens what an app may read and nothing else: with trust-api's own key
    it could freeze a cohort of its choosing and read that.
    """

    trust_internal_service_key: SecretStr = Field(
        min_length=16, description="Key that trust-api calls this service with; opens every route"
    )
    trust_app_service_key: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Key of the apps that the FL client runs; opens dataframes and studies' files, nothing else; "
        "unset: no app reads here",
    )
    trust_internal_service_key_header: str = Field(
        default="X-Trust-Internal-Service-Key",
        pattern=r"^[A-Za-z0-9-]{1,64}$",
        description="Header that carries the key",
    )

    @property
    def internal_key_hashes(self) -> tuple[str, ...]:
        """Hashes of the keys that open every route."""
        return (hash_api_key(self.trust_internal_service_key.get_secret_value()),)

    @property
    def app_key_hashes(self) -> tuple[str, ...]:
        """Hashes of the keys that open what apps may read."""
        own = self.trust_app_service_key
        return self.internal_key_hashes + ((hash_api_key(own.get_secret_value()),) if own else ())
