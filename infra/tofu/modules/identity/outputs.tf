output "issuer" {
  description = "Issuer of the tokens, whose keys are at /.well-known/jwks.json below it."
  value       = "https://cognito-idp.${var.region}.${data.aws_partition.current.dns_suffix}/${aws_cognito_user_pool.this.id}"
}

output "client_id" {
  description = "Id of the hub's client. It is no secret."
  value       = aws_cognito_user_pool_client.hub.id
}

output "user_pool_id" {
  description = "Id of the user pool."
  value       = aws_cognito_user_pool.this.id
}

output "user_pool_arn" {
  description = "ARN of the user pool."
  value       = aws_cognito_user_pool.this.arn
}

output "sign_in_url" {
  description = "Where people sign in."
  value       = "https://${aws_cognito_user_pool_domain.this.domain}.auth.${var.region}.amazoncognito.com"
}
