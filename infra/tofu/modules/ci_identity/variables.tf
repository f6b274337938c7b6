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

variable "state" {
  description = "ARNs of the bucket that holds the states and of the key that encrypts them, as module state_backend gives them out."
  type = object({
    bucket_arn = string
    key_arn    = string
  })
  nullable = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:s3:::[a-z0-9.-]+$", var.state.bucket_arn))
    error_message = "state.bucket_arn is the ARN of one bucket, not its name: write module.state_backend.bucket_arn."
  }
  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.state.key_arn))
    error_message = "state.key_arn is the ARN of one key, not of an alias: write module.state_backend.key_arn."
  }
}

variable "issuer" {
  description = "Host, and path where there is one, of the CI's OpenID Connect issuer."
  type        = string
  default     = "token.actions.githubusercontent.com"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]*\\.[a-z]+(/[A-Za-z0-9._/-]+)?$", var.issuer))
    error_message = "issuer is a host without a scheme: write token.actions.githubusercontent.com, not https://token.actions.githubusercontent.com."
  }
}

variable "subjects" {
  description = "Subjects of the CI's tokens that may plan, and those that may apply; each stands for itself, there are no patterns."
  type = object({
    plan  = set(string)
    apply = set(string)
  })
  nullable = false

  validation {
    condition     = length(var.subjects.plan) > 0 && length(var.subjects.apply) > 0
    error_message = "subjects.plan and subjects.apply name at least one subject each: write [\"repo:OWNER/REPOSITORY:environment:stag\"]."
  }
  validation {
    condition     = alltrue([for subject in setunion(var.subjects.plan, var.subjects.apply) : can(regex("^[^*?\\s]+:[^*?\\s]+$", subject))])
    error_message = "subjects are whole, without * and ?: write repo:OWNER/REPOSITORY:environment:stag, since a pattern lets other repositories or branches in."
  }
  validation {
    condition     = alltrue([for subject in var.subjects.apply : !endswith(subject, ":pull_request")])
    error_message = "subjects.apply has a pull request in it, which anybody may open: write repo:OWNER/REPOSITORY:environment:stag, and let the environment ask for a review."
  }
  validation {
    condition     = length(setintersection(var.subjects.plan, var.subjects.apply)) == 0
    error_message = "a subject stands in subjects.plan and subjects.apply: who may apply takes the apply role for the plan, too; remove it from subjects.plan."
  }
}

variable "apply_policy_arns" {
  description = "Policies that say what the apply role may create, such as the hub stack's. None by default: the role can then read and write state."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.apply_policy_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:policy/", arn))])
    error_message = "apply_policy_arns are policies of your own account: write arn:aws:iam::123456789012:policy/NAME; those of AWS, such as AdministratorAccess, allow more than a stack needs."
  }
  validation {
    condition     = length(var.apply_policy_arns) <= 10
    error_message = "apply_policy_arns has more than 10 entries, which is what AWS attaches to a role: join policies."
  }
}
