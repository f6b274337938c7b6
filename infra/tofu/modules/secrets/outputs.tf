output "arns" {
  description = "ARN of each secret, by its name without the environment's."
  value       = { for name, secret in aws_secretsmanager_secret.hub : name => secret.arn }
}
