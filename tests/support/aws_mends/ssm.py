"""Systems Manager: public parameters that name images of others than Amazon."""

from typing import Any

IMAGE = "ami-12c6146b"  # one that moto's EC2 has
NAMES = (
    "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id",
    "/aws/service/debian/release/12/latest/amd64",
    "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id",
)


def name_images() -> None:
    """Canonical, Debian and AWS's deep learning name their newest image in every region; moto has Amazon Linux alone.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-public-parameters.html
    """
    from moto.ssm.models import Parameter, ParameterDict

    make = ParameterDict.__init__

    def init(self: Any, account_id: str, region_name: str) -> None:
        make(self, account_id, region_name)
        for name in NAMES:
            self[name].append(
                Parameter(
                    account_id=account_id,
                    name=name,
                    value=IMAGE,
                    parameter_type="String",
                    description="",
                    allowed_pattern=None,
                    keyid=None,
                    last_modified_date=0,
                    version=1,
                    data_type="aws:ec2:image",
                )
            )

    ParameterDict.__init__ = init  # type: ignore[method-assign]


MENDS = (name_images,)
