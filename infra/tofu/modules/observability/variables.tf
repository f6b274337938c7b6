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
  description = "AWS region that holds the environment."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+){1,2}-[1-9]$", var.region))
    error_message = "region is the code of a region, not of a zone and not its title: write eu-west-2, not eu-west-2a or London."
  }
}

variable "logs_key_arn" {
  description = "KMS key of the region's alarm topic; CloudWatch must be allowed to use it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.logs_key_arn))
    error_message = "logs_key_arn is the ARN of one key, not of an alias: write module.keys.logs_arn."
  }
}

variable "emails" {
  description = "Who is told of alarms and costs; each confirms two e-mails of AWS, one a region."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.emails) >= 1 && length(var.emails) <= 10
    error_message = "emails has 1 to 10 addresses, as a budget takes them: write [\"hub-on-call@example.org\"], which may be a list."
  }
  validation {
    condition     = alltrue([for email in var.emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))])
    error_message = "emails has something that is no address: write [\"hub-on-call@example.org\"]."
  }
}

variable "budget_usd" {
  description = "What the account may cost in a month, in US dollars; beyond it AWS tells, and stops nothing."
  type        = number
  nullable    = false

  validation {
    condition     = var.budget_usd >= 1 && floor(var.budget_usd) == var.budget_usd
    error_message = "budget_usd is a whole number of US dollars: write 800."
  }
}

variable "tasks" {
  description = "ECS cluster and its services, as module compute gives them out."
  type = object({
    cluster_name    = string
    service_names   = map(string)
    log_group_names = map(string)
  })
  nullable = false

  validation {
    condition     = contains(keys(var.tasks.service_names), "hub") && keys(var.tasks.service_names) == keys(var.tasks.log_group_names)
    error_message = "tasks has a service and a log group for hub and for each net, by the same names: write module.compute's cluster_name, service_names and log_group_names."
  }
}

variable "hub_front" {
  description = "The hub's load balancer and target group, as CloudWatch names them, and what stands before them."
  type = object({
    alb_arn_suffix          = string
    target_group_arn_suffix = string
    distribution_id         = string
    web_acl_arn             = string
  })
  nullable = false

  validation {
    condition     = can(regex("^app/", var.hub_front.alb_arn_suffix)) && can(regex("^targetgroup/", var.hub_front.target_group_arn_suffix))
    error_message = "hub_front has ends of ARNs, from app/ and from targetgroup/ on: write module.edge.alb_arn_suffix and module.edge.target_group_arn_suffix."
  }
  validation {
    condition     = can(regex(":global/webacl/[^/]+/", var.hub_front.web_acl_arn))
    error_message = "hub_front.web_acl_arn is the ARN of CloudFront's web ACL: write module.edge.web_acl_arn."
  }
}

variable "fl_front" {
  description = "A load balancer and a target group for each net by its name, as CloudWatch names them."
  type = object({
    nlb_arn_suffixes          = map(string)
    target_group_arn_suffixes = map(string)
  })
  nullable = false

  validation {
    condition = keys(var.fl_front.nlb_arn_suffixes) == keys(var.fl_front.target_group_arn_suffixes) && alltrue([
      for net, suffix in var.fl_front.nlb_arn_suffixes :
      can(regex("^net/", suffix)) && can(regex("^targetgroup/", var.fl_front.target_group_arn_suffixes[net]))
    ])
    error_message = "fl_front has ends of ARNs for the same nets, from net/ and from targetgroup/ on: write module.fl_ingress.nlb_arn_suffixes and module.fl_ingress.target_group_arn_suffixes."
  }
}

variable "database" {
  description = "The database: its id, GiB of storage that it has at least, and connections that it takes."
  type = object({
    instance_id     = string
    storage_gb      = number
    max_connections = optional(number, 100)
  })
  nullable = false

  validation {
    condition     = var.database.storage_gb >= 20
    error_message = "database.storage_gb is at least 20, RDS's least: write what module database is given as storage.gb."
  }
  validation {
    condition     = var.database.max_connections >= 20
    error_message = "database.max_connections is at least 20: write what `show max_connections` says in the database."
  }
}

variable "efs_id" {
  description = "File system of the nets' state."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^fs-[0-9a-f]+$", var.efs_id))
    error_message = "efs_id is the id of a file system: write module.storage.efs.id."
  }
}

variable "certificates" {
  description = "ARNs of the certificates: CloudFront's (`edge`, in us-east-1) and the load balancer's (`origin`)."
  type = object({
    edge   = string
    origin = string
  })
  nullable = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:acm:us-east-1:", var.certificates.edge)) && can(regex("^arn:aws[a-z-]*:acm:", var.certificates.origin))
    error_message = "certificates are ARNs of ACM, edge in us-east-1: write module.dns.certificates."
  }
}

variable "waf_blocked_limit" {
  description = "Requests that the web ACL may block in five minutes before somebody is told."
  type        = number
  default     = 1000
  nullable    = false

  validation {
    condition     = var.waf_blocked_limit >= 1
    error_message = "waf_blocked_limit is at least 1: write 1000. Scanners of the internet are always blocked."
  }
}
