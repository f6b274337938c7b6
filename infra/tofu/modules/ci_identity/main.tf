locals {
  name  = "${var.project}-${var.environment}-ci"
  roles = { for role, subjects in var.subjects : role => "${local.name}-${role}" }
}

data "aws_partition" "current" {}

resource "aws_iam_openid_connect_provider" "ci" {
  url            = "https://${var.issuer}"
  client_id_list = ["sts.amazonaws.com"]
}

data "aws_iam_policy_document" "trust" {
  for_each = local.roles

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.ci.arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${var.issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "${var.issuer}:sub"
      values   = var.subjects[each.key]
    }
  }
}

resource "aws_iam_role" "ci" {
  for_each             = local.roles
  name                 = each.value
  description          = "CI may ${each.key} ${var.project}-${var.environment}"
  assume_role_policy   = data.aws_iam_policy_document.trust[each.key].json
  permissions_boundary = aws_iam_policy.boundary.arn
  max_session_duration = 3600
}

# What a plan reads are settings, never what a bucket, table or secret holds: ReadOnlyAccess would give that, too.
resource "aws_iam_role_policy_attachment" "settings" {
  for_each   = local.roles
  role       = aws_iam_role.ci[each.key].name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/SecurityAudit"
}

resource "aws_iam_role_policy_attachment" "apply" {
  for_each   = var.apply_policy_arns
  role       = aws_iam_role.ci["apply"].name
  policy_arn = each.value
}
