output "address" {
  description = "Host name of the database."
  value       = aws_db_instance.hub.address
}

output "port" {
  description = "Its port."
  value       = aws_db_instance.hub.port
}

output "name" {
  description = "Name of the database in it."
  value       = aws_db_instance.hub.db_name
}

output "secret_arn" {
  description = "ARN of the secret in which RDS keeps the user's name and password, and rotates it (DATABASE_SECRET)."
  value       = one(aws_db_instance.hub.master_user_secret).secret_arn
}

output "instance_id" {
  description = "Identifier of the instance, as alarms name it."
  value       = aws_db_instance.hub.identifier
}

output "instance_arn" {
  description = "ARN of the instance."
  value       = aws_db_instance.hub.arn
}

output "security_group_id" {
  description = "Security group of the database, without rules: what may reach port 5432 adds its own."
  value       = aws_security_group.database.id
}
