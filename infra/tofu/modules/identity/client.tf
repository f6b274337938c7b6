# The pages' client: public, so it has no secret, and the code is worth nothing without the proof (PKCE) that its owner keeps.
resource "aws_cognito_user_pool_client" "hub" {
  name                                 = "hub"
  user_pool_id                         = aws_cognito_user_pool.this.id
  generate_secret                      = false
  allowed_oauth_flows_user_pool_client = true
  allowed_oauth_flows                  = ["code"]
  allowed_oauth_scopes                 = ["openid", "email", "profile"]
  supported_identity_providers         = ["COGNITO"]
  callback_urls                        = ["${local.hub}${var.callback_path}", local.command_line]
  logout_urls                          = ["${local.hub}/"]
  explicit_auth_flows                  = ["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
  read_attributes                      = ["email", "email_verified", "name"]
  write_attributes                     = ["name"]
  prevent_user_existence_errors        = "ENABLED"
  enable_token_revocation              = true
  auth_session_validity                = 3
  access_token_validity                = var.session.token_minutes
  id_token_validity                    = var.session.token_minutes
  refresh_token_validity               = var.session.hours

  token_validity_units {
    access_token  = "minutes"
    id_token      = "minutes"
    refresh_token = "hours"
  }
}
