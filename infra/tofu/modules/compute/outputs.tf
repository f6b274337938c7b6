output "cluster_name" {
  description = "Name of the ECS cluster."
  value       = aws_ecs_cluster.this.name
}

output "service_names" {
  description = "Names of the ECS services: `hub`, and each net by its name."
  value       = merge({ hub = aws_ecs_service.hub.name }, { for net, service in aws_ecs_service.net : net => service.name })
}

output "task_definition_arns" {
  description = "ARNs, with revision, of the task definitions that the services run, by the same names."
  value       = merge({ hub = aws_ecs_task_definition.hub.arn }, { for net, definition in aws_ecs_task_definition.net : net => definition.arn })
}

output "log_group_names" {
  description = "Names of the log groups, by the same names."
  value       = { for task, group in aws_cloudwatch_log_group.task : task => group.name }
}

output "task_role_arns" {
  description = "ARNs of the tasks' roles, by the same names."
  value       = { for task, role in aws_iam_role.task : task => role.arn }
}

output "execution_role_arn" {
  description = "ARN of the role with which ECS starts tasks."
  value       = aws_iam_role.execution.arn
}

output "security_group_ids" {
  description = "Security groups of the tasks: `hub` and `fl`."
  value       = local.groups
}

output "namespace" {
  description = "Private DNS namespace in which the hub and the nets find each other."
  value       = aws_service_discovery_private_dns_namespace.this.name
}
