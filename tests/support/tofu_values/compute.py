"""Values of infra/tofu/modules/compute."""

from typing import Any

from tofu_values import NAMES, PLACE

KEY = "arn:aws:kms:eu-west-2:123456789012:key/1234-abcd"
SECRET = "arn:aws:secretsmanager:eu-west-2:123456789012:secret"
TARGETS = "arn:aws:elasticloadbalancing:eu-west-2:123456789012:targetgroup"
EFS = "arn:aws:elasticfilesystem:eu-west-2:123456789012"
IMAGE = "ghcr.io/example/hub@sha256:" + "0" * 64
SECRETS = ["internal-service-key", "internal-service-key-hash", "fl-api-key", "fl-net1-certificate", "fl-net1-key"]
DATABASE = {
    "address": "db.example.org",
    "port": 5432,
    "name": "flip_hub",
    "secret_arn": f"{SECRET}:db",
    "security_group_id": "sg-3",
}

GOOD: dict[str, Any] = PLACE | {
    "region": "eu-west-2",
    "vpc_id": "vpc-1",
    "vpc_cidr": "10.20.0.0/16",
    "subnet_ids": {"eu-west-2a": "subnet-1", "eu-west-2b": "subnet-2"},
    "s3_prefix_list_id": "pl-1",
    "logs_key_arn": KEY,
    "key_arns": {"data": KEY, "master": KEY},
    "images": {"hub": IMAGE, "fl_server": f"registry:5000/fl-server@sha256:{'1' * 64}"},
    "nets": {"net1": {}},
    "target_group_arns": {"hub": f"{TARGETS}/hub/1", "nets": {"net1": f"{TARGETS}/net1/1"}},
    "ingress_security_group_ids": {"hub": "sg-1", "fl": "sg-2"},
    "database": DATABASE,
    "database_ca": {"bucket": "files", "key": "config/rds-ca.pem"},
    "files_bucket": {"name": "files", "arn": "arn:aws:s3:::files"},
    "efs": {"id": "fs-1", "arn": f"{EFS}:file-system/fs-1"},
    "efs_access_points": {"net1": {"id": "fsap-1", "arn": f"{EFS}:access-point/fsap-1"}},
    "efs_security_group_id": "sg-4",
    "secret_arns": {name: f"{SECRET}:{name}" for name in SECRETS},
}
BAD: list[tuple[str, Any]] = [
    *NAMES,
    ("region", "eu-west-2a"),
    ("permissions_boundary_arn", "flip-stag-ci-boundary"),
    ("vpc_id", "10.20.0.0/16"),
    ("vpc_cidr", "10.20.0.0"),
    ("subnet_ids", {"eu-west-2a": "subnet-1"}),
    ("subnet_ids", {"eu-west-2a": "subnet-1", "eu-west-2b": "eu-west-2b"}),
    ("s3_prefix_list_id", "com.amazonaws.eu-west-2.s3"),
    ("outbound_cidrs", ["ghcr.io"]),
    ("log_days", 100),
    ("log_days", 30),
    ("logs_key_arn", "alias/flip-stag-logs"),
    ("key_arns", {"data": KEY, "master": "alias/flip-stag-master"}),
    ("images", {"hub": "ghcr.io/example/hub:1.2.3", "fl_server": IMAGE}),
    ("images", {"hub": IMAGE.replace("@", ":1.2.3@"), "fl_server": IMAGE}),
    ("images", {"hub": IMAGE, "fl_server": "ghcr.io/example/fl-server@sha256:1234"}),
    ("hub", {"cpu": 300, "memory": 7777}),
    ("hub", {"cpu": 1024, "memory": 1024}),
    ("hub", {"cpu": 8192, "memory": 17408}),
    ("hub", {"min": 0}),
    ("hub", {"min": 3, "max": 2}),
    ("hub", {"results_at_once": 0}),
    ("hub", {"results_at_once": 11}),
    ("hub", {"settings": {"HUB_RESULT_MAX_BYTES": "200000000000"}}),
    ("hub", {"settings": {"HUB_RESULT_MAX_BYTES": "20 GB"}}),
    ("hub", {"settings": {"FL_API_KEY": "not-a-key-to-write-here"}}),
    ("hub", {"settings": {"TRUST_AES_KEYS": "{}"}}),
    ("hub", {"settings": {"DATABASE_URL": "postgresql://flip:password@db/flip_hub"}}),
    ("nets", {"hub": {}}),
    ("nets", {"Net1": {}}),
    ("nets", {"a-net-of-17-chars": {}}),
    ("nets", {"net1": {"cpu": 256, "memory": 4096}}),
    ("nets", {"net1": {"settings": {"INTERNAL_SERVICE_KEY": "not-a-key-to-write-here"}}}),
    ("nets", {"net1": {"settings": {"FL_SERVER_PORT": "443"}}}),
    ("target_group_arns", {"hub": "flip-stag-hub", "nets": {"net1": f"{TARGETS}/net1/1"}}),
    ("target_group_arns", {"hub": f"{TARGETS}/hub/1", "nets": {}}),
    ("ingress_security_group_ids", {"hub": "0.0.0.0/0", "fl": "sg-2"}),
    ("database", DATABASE | {"address": "db.example.org:5432"}),
    ("database", DATABASE | {"secret_arn": "password"}),
    ("database_ca", {"bucket": "files", "key": "/config/rds-ca.pem"}),
    ("files_bucket", {"name": "files", "arn": "files"}),
    ("files_prefix", "hub/"),
    ("efs", {"id": "fs-1", "arn": "fs-1"}),
    ("efs_access_points", {}),
    ("efs_security_group_id", "default"),
    ("secret_arns", {name: f"{SECRET}:{name}" for name in SECRETS if name != "fl-net1-key"}),
    ("secret_arns", dict.fromkeys(SECRETS, "a-secret-value")),
    ("oidc", {"issuer": "cognito-idp.eu-west-2.amazonaws.com", "client_id": "1"}),
    ("oidc", {"issuer": "https://issuer.example.org/", "client_id": "1"}),
]
