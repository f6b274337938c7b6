# ACME's proof by DNS: one record may be written, that of the dashboard's name, and none of the zone's others.
# https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/specifying-rrset-conditions.html
data "aws_partition" "current" {}

data "aws_iam_policy_document" "certificate" {
  #checkov:skip=CKV_AWS_356:ListHostedZones knows no resource

  statement {
    sid       = "FindTheZone"
    actions   = ["route53:ListHostedZones"] # AWS knows no resource for it
    resources = ["*"]
  }

  statement {
    sid       = "WaitForTheRecord"
    actions   = ["route53:GetChange"]
    resources = ["arn:${data.aws_partition.current.partition}:route53:::change/*"]
  }

  statement {
    sid       = "WriteTheRecord"
    actions   = ["route53:ChangeResourceRecordSets"]
    resources = [data.aws_route53_zone.this.arn]

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "route53:ChangeResourceRecordSetsNormalizedRecordNames"
      values   = ["_acme-challenge.${var.domain}"]
    }
    condition {
      test     = "ForAllValues:StringEquals"
      variable = "route53:ChangeResourceRecordSetsRecordTypes"
      values   = ["TXT"]
    }
    # Without it a request that tells no names would pass: for all of none, anything holds.
    condition {
      test     = "Null"
      variable = "route53:ChangeResourceRecordSetsNormalizedRecordNames"
      values   = ["false"]
    }
  }
}
