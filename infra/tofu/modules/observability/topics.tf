# An alarm tells a topic of its own region; CloudFront, its certificate and its web ACL have theirs in us-east-1.
locals {
  topics = {
    region = "arn:${data.aws_partition.current.partition}:sns:${var.region}:${var.account_id}:${local.name}-alarms"
    edge   = "arn:${data.aws_partition.current.partition}:sns:us-east-1:${var.account_id}:${local.name}-alarms-edge"
  }
}

data "aws_iam_policy_document" "topic" {
  for_each = local.topics

  statement {
    sid       = "AlarmsTell"
    actions   = ["sns:Publish"]
    resources = [each.value]

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

resource "aws_sns_topic" "region" {
  name              = "${local.name}-alarms"
  kms_master_key_id = var.logs_key_arn
}

resource "aws_sns_topic_policy" "region" {
  arn    = aws_sns_topic.region.arn
  policy = data.aws_iam_policy_document.topic["region"].json
}

resource "aws_sns_topic_subscription" "region" {
  for_each  = var.emails
  topic_arn = aws_sns_topic.region.arn
  protocol  = "email"
  endpoint  = each.key
}

resource "aws_sns_topic" "edge" {
  provider          = aws.us_east_1
  name              = "${local.name}-alarms-edge"
  kms_master_key_id = aws_kms_key.edge.arn
}

resource "aws_sns_topic_policy" "edge" {
  provider = aws.us_east_1
  arn      = aws_sns_topic.edge.arn
  policy   = data.aws_iam_policy_document.topic["edge"].json
}

resource "aws_sns_topic_subscription" "edge" {
  provider  = aws.us_east_1
  for_each  = var.emails
  topic_arn = aws_sns_topic.edge.arn
  protocol  = "email"
  endpoint  = each.key
}
