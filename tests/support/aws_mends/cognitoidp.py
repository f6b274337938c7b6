"""Cognito: which plan a user pool is on."""

from typing import Any


def tell_the_tier() -> None:
    """A user pool tells its tier, ESSENTIALS unless another was asked for; moto has none.

    https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UserPoolType.html
    """
    from moto.cognitoidp.models import CognitoIdpUserPool

    to_json = CognitoIdpUserPool.to_json

    def with_tier(self: Any, extended: bool = False) -> dict[str, Any]:
        told = to_json(self, extended)
        return {"UserPoolTier": "ESSENTIALS", **told} if extended else told

    CognitoIdpUserPool.to_json = with_tier  # type: ignore[method-assign]


MENDS = (tell_the_tier,)
