output "data_arn" {
  description = "ARN of the key for what the hub stores: database, files, file systems, secrets, backups."
  value       = try(aws_kms_key.hub["data"].arn, null)
}

output "logs_arn" {
  description = "ARN of the key for CloudWatch Logs, and for the SNS topic that alarms and budgets publish to."
  value       = try(aws_kms_key.hub["logs"].arn, null)
}

output "master_arn" {
  description = "ARN of the key that guards the hub's wrapping key (HUB_MASTER_KMS_KEY)."
  value       = try(aws_kms_key.hub["master"].arn, null)
}
