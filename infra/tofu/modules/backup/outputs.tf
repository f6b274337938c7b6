output "vault_arn" {
  description = "ARN of the vault that holds the backups."
  value       = aws_backup_vault.hub.arn
}

output "plan_id" {
  description = "Id of the plan that makes them."
  value       = aws_backup_plan.hub.id
}
