# A key of another region cannot be used, and AWS's own for SNS does not let CloudWatch in.
data "aws_iam_policy_document" "edge_key" {
  #checkov:skip=CKV_AWS_109:In a key's own policy * is the key itself; IAM decides who uses it
  #checkov:skip=CKV_AWS_111:In a key's own policy * is the key itself; IAM decides who uses it
  #checkov:skip=CKV_AWS_356:In a key's own policy * is the key itself; IAM decides who uses it

  provider = aws.us_east_1

  # In a key's own policy the resource is the key. Without this statement IAM could give nobody access to it.
  statement {
    sid       = "IamDecides"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${data.aws_partition.current.partition}:iam::${var.account_id}:root"]
    }
  }

  statement {
    sid       = "AlarmsTell"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }
  }
}

resource "aws_kms_key" "edge" {
  provider                = aws.us_east_1
  description             = "Alarms of ${local.name} in us-east-1"
  enable_key_rotation     = true
  deletion_window_in_days = 7 # it encrypts messages that are minutes old
  policy                  = data.aws_iam_policy_document.edge_key.json
}

resource "aws_kms_alias" "edge" {
  provider      = aws.us_east_1
  name          = "alias/${local.name}-alarms-edge"
  target_key_id = aws_kms_key.edge.key_id
}
