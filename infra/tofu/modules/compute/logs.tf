resource "aws_cloudwatch_log_group" "task" {
  for_each          = local.tasks
  name              = "/${local.name}/${each.key == "hub" ? "hub" : "fl/${each.key}"}"
  retention_in_days = var.log_days
  kms_key_id        = var.logs_key_arn
}

resource "aws_cloudwatch_log_group" "insights" {
  name              = "/aws/ecs/containerinsights/${local.name}/performance"
  retention_in_days = var.log_days
  kms_key_id        = var.logs_key_arn
}

resource "aws_cloudwatch_log_group" "shell" {
  for_each          = var.execute_command ? toset(["shell"]) : toset([])
  name              = "/${local.name}/shell"
  retention_in_days = var.log_days
  kms_key_id        = var.logs_key_arn
}

locals {
  log_configuration = {
    for task in keys(local.tasks) : task => {
      for container in ["folders", "config", task == "hub" ? "hub" : "fl-server"] : container => {
        logDriver = "awslogs"
        options = {
          awslogs-group         = aws_cloudwatch_log_group.task[task].name
          awslogs-region        = var.region
          awslogs-stream-prefix = container
          mode                  = "non-blocking" # a log that cannot be sent must not stop the service
          max-buffer-size       = "25m"
        }
      }
    }
  }
}
