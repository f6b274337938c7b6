"""What the stand-in's mend of Systems Manager restores; without it this fails."""

from hub_verbs import client


def test_images_of_other_makers_are_named(tofu_env: dict[str, str]) -> None:
    (found,) = client("ssm", tofu_env).get_parameters(Names=["/aws/service/debian/release/12/latest/amd64"])[
        "Parameters"
    ]
    assert client("ec2", tofu_env).describe_images(ImageIds=[found["Value"]])["Images"]
