variable "project" {
  description = "First part of every name, such as flip."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", var.project))
    error_message = "project is 2 to 16 lower-case letters, digits and hyphens, and begins with a letter: write flip, not \"FLIP Hub\"."
  }
  validation {
    condition     = !strcontains("${var.project}-${var.environment}", "--")
    error_message = "project and environment have two hyphens in a row between them, which ECR refuses in a repository's name: write flip, not flip--hub."
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
  description = "AWS region of the registry, the same as that of the tasks."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+){1,2}-[1-9]$", var.region))
    error_message = "region is the code of a region, not of a zone and not its title: write eu-west-2, not eu-west-2a or London."
  }
}

variable "upstream" {
  description = "Host of the registry that images come from. Its images then lie with ECR, under PROJECT-ENVIRONMENT/."
  type        = string
  default     = "ghcr.io"
  nullable    = false

  # https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache.html
  validation {
    condition = contains(
      ["public.ecr.aws", "registry.k8s.io", "quay.io", "ghcr.io", "registry-1.docker.io", "registry.gitlab.com"], var.upstream
    ) || can(regex("^[a-z0-9]+\\.azurecr\\.io$", var.upstream))
    error_message = "upstream is none that ECR caches: write ghcr.io, quay.io, public.ecr.aws, registry.k8s.io, registry-1.docker.io (Docker Hub), registry.gitlab.com or NAME.azurecr.io."
  }
}

variable "credential_secret_arn" {
  description = "Secret with {\"username\": \"...\", \"accessToken\": \"...\"} for the upstream; null where it asks for none."
  type        = string
  default     = null

  validation {
    condition     = (var.credential_secret_arn == null) == contains(["public.ecr.aws", "registry.k8s.io", "quay.io"], var.upstream)
    error_message = "credential_secret_arn does not fit upstream: quay.io, public.ecr.aws and registry.k8s.io take none, every other one needs one, also for public images."
  }
  validation {
    condition     = var.credential_secret_arn == null || can(regex("^arn:aws[a-z-]*:secretsmanager:${var.region}:${var.account_id}:secret:ecr-pullthroughcache/.+$", var.credential_secret_arn))
    error_message = "credential_secret_arn is the ARN of a secret of this account and region whose name begins with ecr-pullthroughcache/, as ECR demands: make one of that name."
  }
}

variable "key_arn" {
  description = "KMS key of the repositories."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.key_arn))
    error_message = "key_arn is the ARN of one key, not of an alias: write module.keys.data_arn."
  }
}

variable "permissions_boundary_arn" {
  description = "Boundary that every role made here carries; null: none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn is the ARN of a policy of your account: write arn:aws:iam::123456789012:policy/NAME, or null."
  }
}
