"""S3: versions that a rule keeps, and policies for TLS only."""

from collections.abc import Mapping
from typing import Any


def keep_newer_noncurrent_versions() -> None:
    """A rule's NewerNoncurrentVersions is kept and given back; moto drops it and the provider waits for it forever.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_NoncurrentVersionExpiration.html
    """
    from moto.s3.models import FakeBucket
    from moto.s3.responses import S3Response

    set_lifecycle, answer = FakeBucket.set_lifecycle, S3Response.get_bucket_lifecycle

    def remember(bucket: Any, rules: list[Mapping[str, Any]]) -> None:
        set_lifecycle(bucket, rules)
        expirations = [rule.get("NoncurrentVersionExpiration") or {} for rule in rules]
        bucket.newer_versions = [expiration.get("NewerNoncurrentVersions") for expiration in expirations]

    def give_back(self: Any) -> Any:
        status, headers, body = answer(self)
        first, *rules = body.split("<Rule>")
        kept = getattr(self.backend.get_bucket(self.bucket_name), "newer_versions", [])
        end = "</NoncurrentVersionExpiration>"
        told = [
            rule.replace(end, f"<NewerNoncurrentVersions>{count}</NewerNoncurrentVersions>{end}") if count else rule
            for rule, count in zip(rules, kept, strict=True)
        ]
        return status, headers, "<Rule>".join([first, *told])

    FakeBucket.set_lifecycle = remember
    S3Response.get_bucket_lifecycle = give_back


def obey_conditions_of_deny() -> None:
    """A Deny whose condition does not hold denies nothing; moto denies, so that a bucket for TLS only takes nothing.

    The stand-in speaks plain HTTP: `aws:SecureTransport` is taken as true, as on AWS's own endpoints.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
    """
    from moto.iam.access_control import IAMPolicyStatement, PermissionResult

    decide = IAMPolicyStatement.is_action_permitted
    tls_only = {"Bool": {"aws:SecureTransport": "false"}}

    def with_conditions(self: Any, *arguments: Any, **named: Any) -> Any:
        if self._statement["Effect"] == "Deny" and self._statement.get("Condition") == tls_only:
            return PermissionResult.NEUTRAL
        return decide(self, *arguments, **named)

    IAMPolicyStatement.is_action_permitted = with_conditions


MENDS = (keep_newer_noncurrent_versions, obey_conditions_of_deny)
