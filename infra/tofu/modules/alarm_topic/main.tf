locals {
  name = "${var.project}-${var.environment}-alarms"
  arn  = "arn:${data.aws_partition.current.partition}:sns:${var.region}:${var.account_id}:${local.name}"
}

data "aws_partition" "current" {}

data "aws_iam_policy_document" "topic" {
  statement {
    sid       = "AlarmsTell"
    actions   = ["sns:Publish"]
    resources = [local.arn]

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

resource "aws_sns_topic" "alarms" {
  name              = local.name
  kms_master_key_id = var.key_arn
}

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.topic.json
}

resource "aws_sns_topic_subscription" "alarms" {
  for_each  = var.emails
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.key
}
