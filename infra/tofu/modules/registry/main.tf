data "aws_partition" "current" {}

locals {
  name = "${var.project}-${var.environment}"
  aws  = data.aws_partition.current.partition
}

resource "aws_ecr_pull_through_cache_rule" "this" {
  ecr_repository_prefix = local.name
  upstream_registry_url = var.upstream
  credential_arn        = var.credential_secret_arn

  # The first image that is pulled makes its repository from the template.
  depends_on = [aws_ecr_repository_creation_template.this]
}

# No rule expires images: those pulled by digest have no tag, and the one that runs is the oldest.
resource "aws_ecr_repository_creation_template" "this" {
  prefix               = local.name
  description          = "Images of ${local.name} that come from ${var.upstream}"
  applied_for          = ["PULL_THROUGH_CACHE"]
  image_tag_mutability = "IMMUTABLE"
  custom_role_arn      = aws_iam_role.template.arn

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.key_arn
  }

  depends_on = [aws_iam_role_policy.template]
}

# Of the whole registry, which an account and region has one of.
resource "aws_ecr_registry_scanning_configuration" "this" {
  scan_type = "BASIC"

  rule {
    scan_frequency = "SCAN_ON_PUSH"

    repository_filter {
      filter      = "${local.name}/*"
      filter_type = "WILDCARD"
    }
  }
}
