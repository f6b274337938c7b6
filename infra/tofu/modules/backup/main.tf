locals {
  name = "${var.project}-${var.environment}"
}

data "aws_partition" "current" {}

resource "aws_backup_vault" "hub" {
  name          = local.name
  kms_key_arn   = var.key_arn
  force_destroy = var.disposable
}

# In governance mode: who may change the lock itself can take it away, nobody else deletes a backup early.
resource "aws_backup_vault_lock_configuration" "hub" {
  for_each           = toset(var.disposable ? [] : [local.name])
  backup_vault_name  = aws_backup_vault.hub.name
  min_retention_days = var.keep_days
}

resource "aws_backup_plan" "hub" {
  name = local.name

  rule {
    rule_name         = "scheduled"
    target_vault_name = aws_backup_vault.hub.name
    schedule          = var.schedule
    start_window      = 60
    completion_window = 720

    lifecycle {
      delete_after = var.keep_days
    }
  }
}

resource "aws_backup_selection" "hub" {
  name         = "${local.name}-named"
  plan_id      = aws_backup_plan.hub.id
  iam_role_arn = aws_iam_role.backup.arn
  resources    = values(var.resource_arns)
  depends_on   = [aws_iam_role_policy.only_these, aws_iam_role_policy_attachment.backup]
}
