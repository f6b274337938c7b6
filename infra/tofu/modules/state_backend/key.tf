data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109:In a key's own policy * is the key itself; IAM decides who uses it
  #checkov:skip=CKV_AWS_111:In a key's own policy * is the key itself; IAM decides who uses it
  #checkov:skip=CKV_AWS_356:In a key's own policy * is the key itself; IAM decides who uses it

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
}

resource "aws_kms_key" "state" {
  description             = "State of ${local.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "state" {
  name          = "alias/${local.name}-state"
  target_key_id = aws_kms_key.state.key_id
}
