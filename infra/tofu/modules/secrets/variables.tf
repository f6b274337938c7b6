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

variable "key_arn" {
  description = "KMS key that encrypts the secrets, as module keys gives it out."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.key_arn))
    error_message = "key_arn is the ARN of one key, not of an alias: write module.keys.data_arn."
  }
}

variable "names" {
  description = "Name of each secret, after the environment's, and what it is."
  type        = map(string)
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.names) : can(regex("^[a-z][a-z0-9-]{0,78}[a-z0-9]$", name))])
    error_message = "names are 2 to 80 lower-case letters, digits and hyphens, and begin with a letter: write fl-api-key."
  }
  # https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
  validation {
    condition     = alltrue([for name in keys(var.names) : !can(regex("-[A-Za-z0-9]{6}$", "-${name}"))])
    error_message = "a name ends with a word of six characters, which AWS mistakes for the end of an ARN: write fl-api-access-key, not fl-api-secret."
  }
  validation {
    condition     = alltrue([for text in values(var.names) : length(text) > 0 && length(text) <= 2048])
    error_message = "names has a secret without a description, or with one of more than 2048 characters: write what it is for and who fills it."
  }
}

variable "recovery_days" {
  description = "How many days a deleted secret can be had back. 0, not at all, is for a test's or a trial's: its names are then free at once."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.recovery_days == 0 || contains(range(7, 31), var.recovery_days)
    error_message = "recovery_days is a whole number from 7 to 30, as Secrets Manager has it, or 0 for none: write 30."
  }
}
