data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${local.aws}:ecs:${var.region}:${var.account_id}:*"]
    }
  }
}

locals {
  # Images that lie with ECR; others are public, and need no permission.
  ecr = [for image in values(var.images) : regex("^([0-9]{12})\\.dkr\\.ecr\\.([a-z0-9-]+)\\.[a-z.]+/([^@]+)@", image) if can(regex("^[0-9]{12}\\.dkr\\.ecr\\.", image))]
}

data "aws_iam_policy_document" "execution" {
  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["arn:${local.aws}:logs:${var.region}:${var.account_id}:log-group:/${local.name}/*"]
  }

  dynamic "statement" {
    for_each = length(local.ecr) > 0 ? ["ecr"] : []

    content {
      sid       = "SignInToEcr"
      actions   = ["ecr:GetAuthorizationToken"]
      resources = ["*"] # AWS knows no other: the token is the account's
    }
  }

  # The last two bring an image that a pull-through cache does not have yet.
  dynamic "statement" {
    for_each = length(local.ecr) > 0 ? ["ecr"] : []

    content {
      sid = "PullImages"
      actions = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
        "ecr:BatchImportUpstreamImage",
        "ecr:CreateRepository",
      ]
      resources = [for at in local.ecr : "arn:${local.aws}:ecr:${at[1]}:${at[0]}:repository/${at[2]}"]
    }
  }
}

resource "aws_iam_role" "execution" {
  name                 = "${local.name}-task-start"
  description          = "ECS starts tasks of ${local.name}: pulls images, writes logs"
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "execution" {
  name   = "start"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}
