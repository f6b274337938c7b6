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
  description = "KMS key of the environment's data."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.key_arn))
    error_message = "key_arn is the ARN of a key, not of an alias: write module.keys.data_arn."
  }
}

variable "vpc_id" {
  description = "VPC of the environment."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "vpc_id is the id of a VPC: write module.network.vpc_id."
  }
}

variable "subnet_ids" {
  description = "Subnets for data, by zone: each gets a mount target of the file system."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) >= 2 && alltrue([for id in values(var.subnet_ids) : can(regex("^subnet-[0-9a-f]+$", id))])
    error_message = "subnet_ids are ids of data subnets in at least two zones: write module.network.data_subnet_ids."
  }
}

variable "nets" {
  description = "Names of the FL nets, each of which gets a directory of its own on the file system."
  type        = set(string)
  nullable    = false

  validation {
    condition     = alltrue([for name in var.nets : can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", name))])
    error_message = "nets have names of 2 to 16 lower-case letters, digits and hyphens that begin with a letter: write net1."
  }
  validation {
    condition     = length(var.nets) <= 100
    error_message = "nets are at most 100: take another environment for the rest."
  }
}

variable "old_version_days" {
  description = "How many days a model's file that was overwritten or removed can still be fetched back."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.old_version_days >= 7 && floor(var.old_version_days) == var.old_version_days
    error_message = "old_version_days is a whole number of at least 7: write 90."
  }
}

variable "log_days" {
  description = "How many days access logs are kept."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = var.log_days >= 90 && floor(var.log_days) == var.log_days
    error_message = "log_days is a whole number of at least 90: who read what is asked long after."
  }
}

variable "disposable" {
  description = "Whether this is a test's or a trial's, that may be destroyed with its files."
  type        = bool
  default     = false
  nullable    = false
}
