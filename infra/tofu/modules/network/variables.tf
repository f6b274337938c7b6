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
  description = "AWS region of the network."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+){1,2}-[1-9]$", var.region))
    error_message = "region is the code of a region, not of a zone and not its title: write eu-west-2, not eu-west-2a or London."
  }
}

variable "cidr" {
  description = "Addresses of the network, /16 to /20. Trusts reach the hub by public addresses, so it may overlap with theirs."
  type        = string
  default     = "10.64.0.0/16"
  nullable    = false

  validation {
    condition     = can(regex("^(10\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|192\\.168\\.)", var.cidr)) && can(cidrhost(var.cidr, 0))
    error_message = "cidr is a private network of RFC 1918: write 10.64.0.0/16, or one within 172.16.0.0/12 or 192.168.0.0/16."
  }
  validation {
    condition     = !can(cidrhost(var.cidr, 0)) || can(regex("/(1[6-9]|20)$", var.cidr))
    error_message = "cidr has a mask of /16 to /20: write 10.64.0.0/16; a longer mask leaves no room for subnets, AWS takes no shorter one."
  }
  validation {
    condition     = try(cidrhost(var.cidr, 0) == split("/", var.cidr)[0], true)
    error_message = "cidr begins with an address inside the network, not with its first: write 10.64.0.0/16, not 10.64.1.0/16."
  }
}

variable "zones" {
  description = "Availability zones of the region, two or three. Their order means nothing, and another one later moves none."
  type        = list(string)
  nullable    = false

  validation {
    condition     = contains([2, 3], length(var.zones))
    error_message = "zones names two or three zones: write [\"eu-west-2a\", \"eu-west-2b\"]; the database and the load balancers want two."
  }
  validation {
    condition     = length(distinct(var.zones)) == length(var.zones)
    error_message = "zones names a zone twice: write different ones, such as [\"eu-west-2a\", \"eu-west-2b\"]."
  }
  validation {
    condition     = alltrue([for zone in var.zones : can(regex("^${var.region}[a-h]$", zone))])
    error_message = "zones are zones of the region, which is its code and a letter from a to h: write eu-west-2a. `aws ec2 describe-availability-zones` lists them."
  }
}

variable "nat" {
  description = "NAT gateways: `one` costs less, with `per_zone` a zone that fails takes nothing else along."
  type        = string
  default     = "per_zone"
  nullable    = false

  validation {
    condition     = contains(["one", "per_zone"], var.nat)
    error_message = "nat is \"one\" or \"per_zone\"."
  }
}

variable "endpoints" {
  description = "AWS services that tasks reach without leaving the network, by the last part of the service's name. Each is paid for in each zone. S3 has its own always."
  type        = set(string)
  default     = ["ecr.api", "ecr.dkr", "kms", "logs", "secretsmanager", "sts"]
  nullable    = false

  validation {
    condition     = !contains(var.endpoints, "s3")
    error_message = "endpoints has s3, for which the network has a gateway without a price: leave it out."
  }
  validation {
    condition = alltrue([for name in setsubtract(var.endpoints, ["s3"]) : contains([
      "ec2messages", "ecr.api", "ecr.dkr", "ecs", "ecs-agent", "ecs-telemetry", "elasticfilesystem", "kms", "logs", "monitoring",
      "rds", "secretsmanager", "servicediscovery", "sns", "sqs", "ssm", "ssmmessages", "sts",
    ], name)])
    error_message = "endpoints has a service that the hub does not know: write the last part of its name, such as ecr.api, ecr.dkr, elasticfilesystem, kms, logs, monitoring, secretsmanager, ssmmessages or sts."
  }
}

variable "logs_key_arn" {
  description = "KMS key that encrypts the flow logs, as module keys gives it out."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.logs_key_arn))
    error_message = "logs_key_arn is the ARN of one key, not of an alias: write module.keys.logs_arn."
  }
}

variable "flow_log_days" {
  description = "How many days it is kept who spoke with whom."
  type        = number
  default     = 365
  nullable    = false

  # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
  validation {
    condition     = contains([90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.flow_log_days)
    error_message = "flow_log_days is a number of days that CloudWatch Logs knows, and at least 90: write 90, 180, 365, 400, 731, 1096, 1827 or 3653."
  }
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the module's role, where the account's administrators ask for one."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:policy/", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn is the ARN of a policy of your own account: write arn:aws:iam::123456789012:policy/NAME, or leave it out."
  }
}
