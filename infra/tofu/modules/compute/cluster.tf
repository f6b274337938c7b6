resource "aws_ecs_cluster" "this" {
  name = local.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }

  dynamic "configuration" {
    for_each = var.execute_command ? ["execute-command"] : []

    content {
      execute_command_configuration {
        kms_key_id = var.key_arns.data
        logging    = "OVERRIDE"

        log_configuration {
          cloud_watch_encryption_enabled = true
          cloud_watch_log_group_name     = aws_cloudwatch_log_group.shell["shell"].name
        }
      }
    }
  }

  # ECS makes this group itself, kept for ever and without a key of ours, unless it is there.
  depends_on = [aws_cloudwatch_log_group.insights]
}
