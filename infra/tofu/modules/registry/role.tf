# With this role ECR makes repositories with our key:
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-creation-templates-custom.html
data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecr.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "template" {
  statement {
    sid       = "MakeRepositories"
    actions   = ["ecr:CreateRepository", "ecr:ReplicateImage", "ecr:TagResource"]
    resources = ["arn:${local.aws}:ecr:${var.region}:${var.account_id}:repository/${local.name}/*"]
  }

  statement {
    sid       = "EncryptThem"
    actions   = ["kms:CreateGrant", "kms:DescribeKey", "kms:RetireGrant"]
    resources = [var.key_arn]
  }
}

resource "aws_iam_role" "template" {
  name                 = "${local.name}-registry"
  description          = "ECR makes repositories of ${local.name} with its key"
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "template" {
  name   = "repositories"
  role   = aws_iam_role.template.id
  policy = data.aws_iam_policy_document.template.json
}
