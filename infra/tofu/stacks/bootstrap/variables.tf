variable "project" {
  description = "First part of every name."
  type        = string
  default     = "flip"
  nullable    = false
}

variable "environment" {
  description = "Which deployment this is, such as stag or prod. `flipctl hub` sets it from its argument."
  type        = string
  nullable    = false
}

variable "account_id" {
  description = "AWS account that holds the environment, twelve digits in quotation marks."
  type        = string
  nullable    = false
}

variable "region" {
  description = "AWS region of the environment."
  type        = string
  nullable    = false
}

variable "old_versions" {
  description = "How many days an older version of the state is kept, and how many of the newest older ones are kept whatever their age."
  type = object({
    days = optional(number, 90)
    keep = optional(number, 20)
  })
  default  = {}
  nullable = false
}

variable "log_days" {
  description = "How many days the access logs of the state's bucket are kept."
  type        = number
  default     = 365
  nullable    = false
}

variable "ci_issuer" {
  description = "Host, and path where there is one, of the CI's OpenID Connect issuer."
  type        = string
  default     = "token.actions.githubusercontent.com"
  nullable    = false
}

variable "ci_subjects" {
  description = "Subjects of the CI's tokens that may plan, and those that may apply; each stands for itself, there are no patterns."
  type = object({
    plan  = set(string)
    apply = set(string)
  })
  nullable = false
}

variable "ci_apply_policy_arns" {
  description = "Policies that say what CI may create. None by default: it can then read and write state."
  type        = set(string)
  default     = []
  nullable    = false
}
