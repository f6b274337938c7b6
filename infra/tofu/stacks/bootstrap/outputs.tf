output "backend" {
  description = "Settings of `backend \"s3\"` that every stack of the environment shares; each adds a `key` of its own."
  value       = module.state_backend.backend
}

output "ci_role_arns" {
  description = "ARN of the role that a CI job takes, by what it may do: `plan` or `apply`."
  value       = module.ci_identity.role_arns
}

output "ci_boundary_arn" {
  description = "ARN of the permissions boundary that every role must carry which CI makes."
  value       = module.ci_identity.boundary_arn
}
