locals {
  states = "${var.state.bucket_arn}/${var.environment}"
}

data "aws_iam_policy_document" "state" {
  for_each = local.roles

  statement {
    sid       = "Find"
    actions   = ["s3:ListBucket"]
    resources = [var.state.bucket_arn]
  }

  statement {
    sid       = "Read"
    actions   = ["s3:GetObject"]
    resources = ["${local.states}/*.tfstate", "${local.states}/*.tflock"]
  }

  # A plan takes the lock as well; the states themselves are the apply role's.
  statement {
    sid       = "Lock"
    actions   = ["s3:PutObject", "s3:DeleteObject"]
    resources = ["${local.states}/*.tflock"]
  }

  statement {
    sid       = "Encrypt"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.state.key_arn]
  }

  dynamic "statement" {
    for_each = each.key == "apply" ? ["apply"] : []

    content {
      sid       = "Write"
      actions   = ["s3:PutObject"]
      resources = ["${local.states}/*.tfstate"]
    }
  }
}

resource "aws_iam_role_policy" "state" {
  for_each = local.roles
  name     = "state"
  role     = aws_iam_role.ci[each.key].id
  policy   = data.aws_iam_policy_document.state[each.key].json
}
