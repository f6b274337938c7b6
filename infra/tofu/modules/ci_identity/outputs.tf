output "role_arns" {
  description = "ARN of the role that a CI job takes, by what it may do: `plan` or `apply`."
  value       = { for role, made in aws_iam_role.ci : role => made.arn }
}

output "boundary_arn" {
  description = "ARN of the permissions boundary that every role must carry which the apply role makes."
  value       = aws_iam_policy.boundary.arn
}
