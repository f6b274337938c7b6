"""What the example of module identity plans: nobody signs up, all have a second factor, the client has no secret."""

from collections.abc import Callable
from typing import Any

from tofu_plans import resources

from flipctl.browser import CALLBACK


def test_sign_in_is_closed_and_has_a_second_factor(example_plan: Callable[[str], dict[str, Any]]) -> None:
    pool = resources(example_plan("identity"))["module.identity.aws_cognito_user_pool.this"]
    assert pool["mfa_configuration"] == "ON"
    assert pool["software_token_mfa_configuration"] == [{"enabled": True}]
    assert not pool.get("sms_configuration")
    assert pool["admin_create_user_config"][0]["allow_admin_create_user_only"] is True
    assert pool["password_policy"][0]["minimum_length"] >= 12
    assert pool["deletion_protection"] == "ACTIVE"
    assert pool["user_pool_tier"] == "PLUS"  # threat protection is Plus's


def test_the_client_is_public_and_people_come_back_to_the_hub_or_their_own_machine(
    example_plan: Callable[[str], dict[str, Any]],
) -> None:
    client = resources(example_plan("identity"))["module.identity.aws_cognito_user_pool_client.hub"]
    assert client["generate_secret"] is False
    assert client["allowed_oauth_flows"] == ["code"]
    back = [*client["callback_urls"], *client["logout_urls"]]
    assert [url for url in back if not url.startswith("https://flip.example.org/")] == [CALLBACK]
    assert not any("PASSWORD" in flow for flow in client["explicit_auth_flows"])
    assert "email" not in client["write_attributes"]  # who signs in could else become somebody else
