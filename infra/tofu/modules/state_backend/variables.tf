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
  description = "AWS region of the bucket and its key."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+){1,2}-[1-9]$", var.region))
    error_message = "region is the code of a region, not of a zone and not its title: write eu-west-2, not eu-west-2a or London."
  }
}

variable "old_versions" {
  description = "How many days an older version of the state is kept, and how many of the newest older ones are kept whatever their age."
  type = object({
    days = optional(number, 90)
    keep = optional(number, 20)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.old_versions.days >= 30 && floor(var.old_versions.days) == var.old_versions.days
    error_message = "old_versions.days is a whole number of at least 30: an older state is what a bad apply is undone with."
  }
  validation {
    condition     = var.old_versions.keep >= 1 && var.old_versions.keep <= 100 && floor(var.old_versions.keep) == var.old_versions.keep
    error_message = "old_versions.keep is a whole number from 1 to 100, as S3 has it: write 20."
  }
}

variable "log_days" {
  description = "How many days the bucket's access logs are kept."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = var.log_days >= 90 && floor(var.log_days) == var.log_days
    error_message = "log_days is a whole number of at least 90: who read a state is asked long after."
  }
}
