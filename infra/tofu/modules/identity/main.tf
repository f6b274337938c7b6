data "aws_partition" "current" {}

locals {
  name = "${var.project}-${var.environment}"
  hub  = "https://${var.domain}"

  # Where the browser brings the answer of `flipctl sign-in`, on its user's own machine (RFC 8252).
  command_line = "http://localhost:8765/callback"
}

resource "aws_cognito_user_pool" "this" {
  name                     = local.name
  user_pool_tier           = var.threat_protection == "OFF" ? "ESSENTIALS" : "PLUS"
  username_attributes      = ["email"]
  auto_verified_attributes = ["email"]
  mfa_configuration        = var.mfa
  deletion_protection      = var.disposable ? "INACTIVE" : "ACTIVE"

  username_configuration {
    case_sensitive = false
  }

  software_token_mfa_configuration {
    enabled = true
  }

  # Users are made by who runs the hub.
  admin_create_user_config {
    allow_admin_create_user_only = true
  }

  password_policy {
    minimum_length                   = 14
    require_lowercase                = true
    require_uppercase                = true
    require_numbers                  = true
    require_symbols                  = true
    password_history_size            = 5
    temporary_password_validity_days = 3
  }

  account_recovery_setting {
    recovery_mechanism {
      name     = "verified_email"
      priority = 1
    }
  }

  # An address counts once its owner has answered; until then the former one stays.
  user_attribute_update_settings {
    attributes_require_verification_before_update = ["email"]
  }

  user_pool_add_ons {
    advanced_security_mode = var.threat_protection
  }

  email_configuration {
    email_sending_account = var.mail == null ? "COGNITO_DEFAULT" : "DEVELOPER"
    source_arn            = var.mail == null ? null : var.mail.identity_arn
    from_email_address    = var.mail == null ? null : var.mail.from
  }
}

resource "aws_cognito_user_pool_domain" "this" {
  domain       = coalesce(var.sign_in_prefix, "${local.name}-${var.account_id}")
  user_pool_id = aws_cognito_user_pool.this.id
}
