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
  description = "AWS region of the hub."
  type        = string
  nullable    = false
}

variable "domain" {
  description = "Host name of the hub's API and pages."
  type        = string
  nullable    = false
}

variable "zone" {
  description = "Public Route 53 zone that `domain` and the nets' hosts are in."
  type        = string
  nullable    = false
}

variable "network" {
  description = "Addresses of the VPC, its availability zones, and whether `one` NAT gateway is enough or each zone has its own (`per_zone`)."
  type = object({
    cidr  = optional(string, "10.20.0.0/16")
    zones = list(string)
    nat   = optional(string, "per_zone")
  })
  nullable = false
}

variable "database" {
  description = "RDS PostgreSQL. `ca_file` is RDS's authority for the region, a PEM file on the machine that applies."
  type = object({
    engine_version = string
    instance_class = string
    ca_file        = string
    multi_az       = optional(bool, true)

    allow_major_upgrade = optional(bool, false)
    backup_days         = optional(number, 14)
    storage             = optional(object({ gb = optional(number, 50), max_gb = optional(number, 500) }), {})
  })
  nullable = false

  validation {
    condition     = can(regex("-----BEGIN CERTIFICATE-----", file(var.database.ca_file)))
    error_message = "database.ca_file is a PEM file that can be read: fetch https://truststore.pki.rds.amazonaws.com/REGION/REGION-bundle.pem and write its path."
  }
}

variable "backup" {
  description = "When AWS Backup copies database, files and FL workspaces (a cron expression of AWS, UTC), and for how many days copies are kept."
  type = object({
    schedule  = optional(string, "cron(0 2 * * ? *)")
    keep_days = optional(number, 35)
  })
  default  = {}
  nullable = false
}

variable "images" {
  description = "Images of the release, each by its digest."
  type = object({
    hub       = string
    fl_server = string
  })
  nullable = false
}

variable "hub" {
  description = "The hub's tasks: CPU units, MiB of memory, the fewest and the most that run, and settings of docs/settings.md beyond those that the stack computes."
  type = object({
    cpu      = optional(number, 1024)
    memory   = optional(number, 2048)
    min      = optional(number, 2)
    max      = optional(number, 6)
    settings = optional(map(string), {})
  })
  default  = {}
  nullable = false
}

variable "nets" {
  description = "FL nets by name: the host name and port that trusts dial, CPU units and MiB of memory of its server, and settings of its FL API."
  type = map(object({
    host     = string
    port     = optional(number, 443)
    cpu      = optional(number, 2048)
    memory   = optional(number, 8192)
    settings = optional(map(string), {})
  }))
  nullable = false
}

variable "fl_allowed_cidrs" {
  description = "Who may dial the FL servers. Everybody by default, so that a new trust changes nothing here: mutual keys decide who takes part."
  type        = set(string)
  default     = ["0.0.0.0/0"]
  nullable    = false
}

variable "long_poll_seconds" {
  description = "Longest that a trust's poll may be held open (LEASE_WAIT_SECONDS of the trusts); every time limit on the way is computed from it."
  type        = number
  default     = 30
  nullable    = false
}

variable "rate_limit" {
  description = "Requests in five minutes from one address, after which it is refused: from people, and from trusts, many of which may share an address."
  type = object({
    people = optional(number, 3000)
    trusts = optional(number, 30000)
  })
  default  = {}
  nullable = false
}

variable "mfa" {
  description = "Whether a second factor is asked of everybody (ON) or of those who set one up (OPTIONAL)."
  type        = string
  default     = "ON"
  nullable    = false
}

variable "emails" {
  description = "Who is told of alarms and of the budget; each confirms once, in the mail that AWS sends."
  type        = set(string)
  nullable    = false
}

variable "budget_usd" {
  description = "Budget of the account for a month, in US dollars."
  type        = number
  nullable    = false
}

variable "log_days" {
  description = "How many days logs are kept."
  type        = number
  default     = 365
  nullable    = false
}

variable "registry" {
  description = "A public registry that ECR fetches the images from when a task first asks for them, and the secret of the account there where it wants one; null: the images are in a registry that tasks can reach."
  type = object({
    upstream              = string
    credential_secret_arn = optional(string)
  })
  default = null
}

variable "permissions_boundary_arn" {
  description = "Boundary that every role made here carries, where the account's administrators ask for one."
  type        = string
  default     = null
}

variable "disposable" {
  description = "Whether `destroy` may take the data along, without a last snapshot. For trials."
  type        = bool
  default     = false
  nullable    = false
}
