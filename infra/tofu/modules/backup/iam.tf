locals {
  policies = {
    backup = "service-role/AWSBackupServiceRolePolicyForBackup"
    s3     = "AWSBackupServiceRolePolicyForS3Backup"
  }
  buckets = sort([for arn in values(var.resource_arns) : arn if can(regex(":s3:::", arn))])
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["backup.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "backup" {
  name                 = "${local.name}-backup"
  description          = "AWS Backup copies the data of ${local.name} with it, and cannot restore any"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  permissions_boundary = var.permissions_boundary_arn
}

# AWS's own, which follow what its service needs; they reach every bucket of the account, which the next policy narrows.
resource "aws_iam_role_policy_attachment" "backup" {
  for_each   = local.policies
  role       = aws_iam_role.backup.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/${each.value}"
}

data "aws_iam_policy_document" "only_these" {
  statement {
    sid           = "NoOtherObjects"
    effect        = "Deny"
    actions       = ["s3:GetObject*"]
    not_resources = concat(["arn:${data.aws_partition.current.partition}:s3:::${local.name}-no-bucket/*"], [for arn in local.buckets : "${arn}/*"])
  }

  statement {
    sid           = "NoOtherBuckets"
    effect        = "Deny"
    actions       = ["s3:PutBucketNotification", "s3:PutInventoryConfiguration"]
    not_resources = concat(["arn:${data.aws_partition.current.partition}:s3:::${local.name}-no-bucket"], local.buckets)
  }
}

resource "aws_iam_role_policy" "only_these" {
  name   = "only-these"
  role   = aws_iam_role.backup.id
  policy = data.aws_iam_policy_document.only_these.json
}
