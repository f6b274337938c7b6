"""What the stand-in's mend of Cognito restores; without it this fails."""

from hub_verbs import client


def test_a_user_pool_tells_its_tier(tofu_env: dict[str, str]) -> None:
    cognito = client("cognito-idp", tofu_env)
    for tier, asked in (("ESSENTIALS", {}), ("PLUS", {"UserPoolTier": "PLUS"})):
        made = cognito.create_user_pool(PoolName="mend", **asked)["UserPool"]["Id"]
        assert cognito.describe_user_pool(UserPoolId=made)["UserPool"]["UserPoolTier"] == tier
        cognito.delete_user_pool(UserPoolId=made)
