locals {
  name = "${var.project}-${var.environment}"
}

# Containers alone: whoever knows the value puts it in, and no state ever holds it.
resource "aws_secretsmanager_secret" "hub" {
  #checkov:skip=CKV2_AWS_57:Values are made anew by flipctl hub secrets --rotate, which restarts the services that share them

  for_each                = var.names
  name                    = "${local.name}-${each.key}"
  description             = each.value
  kms_key_id              = var.key_arn
  recovery_window_in_days = var.recovery_days
}

# Who may read a secret, IAM says. This holds whatever it says, or somebody adds here later: nobody outside the account.
data "aws_iam_policy_document" "hub" {
  for_each = var.names

  statement {
    sid       = "NobodyOutsideTheAccount"
    effect    = "Deny"
    actions   = ["secretsmanager:*"]
    resources = [aws_secretsmanager_secret.hub[each.key].arn]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "StringNotEquals"
      variable = "aws:PrincipalAccount"
      values   = [var.account_id]
    }

    condition {
      test     = "BoolIfExists"
      variable = "aws:PrincipalIsAWSService"
      values   = ["false"]
    }
  }
}

resource "aws_secretsmanager_secret_policy" "hub" {
  for_each            = var.names
  secret_arn          = aws_secretsmanager_secret.hub[each.key].arn
  policy              = data.aws_iam_policy_document.hub[each.key].json
  block_public_policy = true
}
