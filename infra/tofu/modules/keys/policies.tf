# In a key's own policy the resource is the key.

data "aws_iam_policy_document" "iam_decides" {
  #checkov:skip=CKV_AWS_109:In a key's own policy * is the key itself; IAM decides who uses it
  #checkov:skip=CKV_AWS_111:In a key's own policy * is the key itself; IAM decides who uses it
  #checkov:skip=CKV_AWS_356:In a key's own policy * is the key itself; IAM decides who uses it

  # Without this statement IAM could give nobody access to the key.
  statement {
    sid       = "IamDecides"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = [local.iam]
    }
  }
}

data "aws_iam_policy_document" "logs" {
  source_policy_documents = [data.aws_iam_policy_document.iam_decides.json]

  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
  statement {
    sid       = "LogGroupsOfTheAccount"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["logs.${var.region}.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:${data.aws_partition.current.partition}:logs:${var.region}:${var.account_id}:log-group:*"]
    }
  }

  # Who publishes to an encrypted SNS topic needs its key.
  # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
  statement {
    sid       = "AlarmsAndBudgetsOfTheAccount"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }
  }
}

data "aws_iam_policy_document" "master" {
  source_policy_documents = [data.aws_iam_policy_document.iam_decides.json]

  # Whatever IAM allows: the hub says this context, and nothing else has business with the key.
  statement {
    sid       = "NothingButTheHubsWrappingKey"
    effect    = "Deny"
    actions   = ["kms:CreateGrant", "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "StringNotEquals"
      variable = "kms:EncryptionContext:purpose"
      values   = ["flip-hub-master-key"]
    }
  }
}
