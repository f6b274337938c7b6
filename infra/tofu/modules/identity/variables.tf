variable "project" {
  description = "First part of every name, such as flip."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", var.project))
    error_message = "project is 2 to 16 lower-case letters, digits and hyphens, and begins with a letter: write flip, not \"FLIP Hub\"."
  }
}

variable "environment" {
  description = "Which deployment of the project this is, such as stag or prod."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,8}[a-z0-9]$", var.environment))
    error_message = "environment is 2 to 10 lower-case letters, digits and hyphens, and begins with a letter: write stag or prod."
  }
}

variable "account_id" {
  description = "AWS account that holds the environment, twelve digits."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id is twelve digits in quotation marks, without hyphens: write \"123456789012\". `aws sts get-caller-identity` shows yours."
  }
}

variable "region" {
  description = "AWS region of the user pool."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+){1,2}-[1-9]$", var.region))
    error_message = "region is the code of a region, not of a zone and not its title: write eu-west-2, not eu-west-2a or London."
  }
}

variable "domain" {
  description = "Host name under which people open the hub; they come back to it after signing in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    error_message = "domain is a host name in lower case, without scheme and path: write flip.example.org, not https://flip.example.org/."
  }
}

variable "callback_path" {
  description = "Path of the hub's page to which people come back with a code."
  type        = string
  default     = "/auth/callback"
  nullable    = false

  validation {
    condition     = can(regex("^/[A-Za-z0-9/_-]+$", var.callback_path))
    error_message = "callback_path is a path of the hub, without * and ?: write /auth/callback."
  }
}

variable "sign_in_prefix" {
  description = "First part of the sign-in page's host name, which nobody else in the region may have; null: PROJECT-ENVIRONMENT-ACCOUNT."
  type        = string
  default     = null

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", coalesce(var.sign_in_prefix, "none"))) && !can(regex("aws|amazon|cognito", coalesce(var.sign_in_prefix, "${var.project}-${var.environment}")))
    error_message = "sign_in_prefix has up to 63 lower-case letters, digits and hyphens, and neither it nor project and environment have aws, amazon or cognito in them, which AWS refuses: write flip-example."
  }
}

variable "mfa" {
  description = "ON: everybody signs in with a one-time password of an app, too. OPTIONAL: who has set one up."
  type        = string
  default     = "ON"
  nullable    = false

  validation {
    condition     = contains(["ON", "OPTIONAL"], var.mfa)
    error_message = "mfa is ON or OPTIONAL: write ON."
  }
}

variable "threat_protection" {
  description = "What Cognito does about a sign-in that looks like somebody else's: OFF, AUDIT (it is written down), ENFORCED (it is refused). The last two need Cognito's plan Plus, which costs more for each user."
  type        = string
  default     = "OFF"
  nullable    = false

  validation {
    condition     = contains(["OFF", "AUDIT", "ENFORCED"], var.threat_protection)
    error_message = "threat_protection is OFF, AUDIT or ENFORCED: write OFF, or AUDIT to see first what would be refused."
  }
}

variable "session" {
  description = "Hours after which one signs in anew, minutes that a token is good for."
  type = object({
    hours         = optional(number, 12)
    token_minutes = optional(number, 15)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.session.hours >= 1 && var.session.hours <= 168 && floor(var.session.hours) == var.session.hours
    error_message = "session.hours is a whole number from 1 to 168: write 12, as HUB_SESSION_HOURS has it."
  }
  validation {
    condition     = var.session.token_minutes >= 5 && var.session.token_minutes <= 60 && floor(var.session.token_minutes) == var.session.token_minutes
    error_message = "session.token_minutes is a whole number from 5 to 60, of which 5 are Cognito's least: write 15."
  }
}

variable "mail" {
  description = "Identity of SES that sends invitations, and its address; null: Cognito sends them itself, 50 a day at most."
  type = object({
    identity_arn = string
    from         = string
  })
  default = null

  validation {
    condition     = var.mail == null || can(regex("^arn:aws[a-z-]*:ses:[a-z0-9-]+:[0-9]{12}:identity/.+$", var.mail.identity_arn)) && can(regex("^([^<>]+ <)?[^@\\s<>]+@[^@\\s<>]+>?$", var.mail.from))
    error_message = "mail has an identity of SES and an address: write { identity_arn = \"arn:aws:ses:REGION:ACCOUNT:identity/example.org\", from = \"FLIP <flip@example.org>\" }, or null."
  }
}

variable "disposable" {
  description = "Whether this is a test's or a trial's: the user pool may be destroyed with its users."
  type        = bool
  default     = false
  nullable    = false
}
