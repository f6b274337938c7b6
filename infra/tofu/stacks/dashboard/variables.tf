variable "project" {
  description = "First part of every name. No other stack of the account has the same project and environment."
  type        = string
  default     = "flip-dashboard"
  nullable    = false
}

variable "environment" {
  description = "Which deployment this is, such as stag or prod. `flipctl hub` sets it from its argument."
  type        = string
  nullable    = false
}

variable "account_id" {
  description = "AWS account that holds the host, twelve digits in quotation marks."
  type        = string
  nullable    = false
}

variable "region" {
  description = "AWS region of the host."
  type        = string
  nullable    = false
}

variable "subnet_id" {
  description = "Public subnet of the host: its route leads to an internet gateway."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^subnet-[0-9a-f]+$", var.subnet_id))
    error_message = "subnet_id is the id of a subnet: write subnet-0123456789abcdef0. `aws ec2 describe-subnets` lists them."
  }
}

variable "instance_type" {
  description = "EC2 type of the host, x86."
  type        = string
  default     = "t3.large"
  nullable    = false
}

variable "zone" {
  description = "Public Route 53 zone that both names are in, and which exists already."
  type        = string
  nullable    = false
}

variable "domain" {
  description = "Name of the dashboard, at port 443."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    error_message = "domain is a host name in lower-case letters, without https:// and a port: write dashboard.example.org."
  }
  validation {
    condition     = endswith(var.domain, ".${var.zone}")
    error_message = "domain is not in zone: write a name that ends with it, such as dashboard.example.org in example.org."
  }
}

variable "server_name" {
  description = "Name under which sites reach the FL server."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.server_name))
    error_message = "server_name is a host name in lower-case letters, without a port: write fl.example.org."
  }
  validation {
    condition     = endswith(var.server_name, ".${var.zone}") && var.server_name != var.domain
    error_message = "server_name is not in zone, or is the dashboard's own: write another name that ends with the zone's, such as fl.example.org in example.org."
  }
}

variable "fl_port" {
  description = "Port of the FL server, as the kits' project has it (fed_learn_port)."
  type        = number
  default     = 8002
  nullable    = false

  validation {
    condition     = var.fl_port >= 1024 && var.fl_port <= 65535
    error_message = "fl_port is from 1024 to 65535: write 8002. The dashboard has 443, and FLARE's server is not root."
  }
}

variable "admin_port" {
  description = "Port of FLARE's admin consoles, as the kits' project has it (admin_port). The same as fl_port: FLARE serves both at that one."
  type        = number
  default     = 8003
  nullable    = false

  validation {
    condition     = var.admin_port >= 1024 && var.admin_port <= 65535 && (var.admin_port != var.fl_port || length(var.allowed_cidrs.admin) == 0)
    error_message = "admin_port is from 1024 to 65535: write 8003. Where it is fl_port, allowed_cidrs.fl says who reaches it: leave allowed_cidrs.admin empty."
  }
}

variable "allowed_cidrs" {
  description = "Who reaches the dashboard, the FL server and the port of admin consoles. The last is closed unless networks are named."
  type = object({
    dashboard = optional(set(string), ["0.0.0.0/0"])
    fl        = optional(set(string), ["0.0.0.0/0"])
    admin     = optional(set(string), [])
  })
  default  = {}
  nullable = false

  validation {
    condition     = length(var.allowed_cidrs.dashboard) > 0 && length(var.allowed_cidrs.fl) > 0
    error_message = "allowed_cidrs closes the dashboard or the FL server to everybody: name networks, or leave it out."
  }
  validation {
    condition     = !contains(var.allowed_cidrs.admin, "0.0.0.0/0")
    error_message = "allowed_cidrs.admin is the whole world: write the networks that admins come from, such as [\"192.0.2.0/24\"]."
  }
}

variable "admin_email" {
  description = "The dashboard's project admin, whom the certificate authority writes to as well."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.admin_email))
    error_message = "admin_email is an address: write ops@example.org."
  }
}

variable "acme_directory" {
  description = "Where a certificate is had: the directory of an authority that speaks ACME (RFC 8555)."
  type        = string
  default     = "https://acme-v02.api.letsencrypt.org/directory"
  nullable    = false

  validation {
    condition     = can(regex("^https://[a-z0-9.-]+/", var.acme_directory))
    error_message = "acme_directory is an https URL at port 443: write https://acme-v02.api.letsencrypt.org/directory."
  }
}

variable "ami" {
  description = "Image of Debian or Ubuntu: its id, or the public parameter that names the newest. A host that is there keeps its own."
  type        = string
  default     = "/aws/service/debian/release/12/latest/amd64"
  nullable    = false
}

variable "user" {
  description = "The user that the image's makers put there."
  type        = string
  default     = "admin"
  nullable    = false
}

variable "operator_keys" {
  description = "Public SSH keys of those who run the playbook; SSH goes through Session Manager."
  type        = set(string)
  nullable    = false
}

variable "root_gb" {
  description = "GiB of the root volume, which has the system and Docker's images."
  type        = number
  default     = 30
  nullable    = false
}

variable "data_gb" {
  description = "GiB of the data volume at /opt/flip."
  type        = number
  default     = 50
  nullable    = false
}

variable "egress_ports" {
  description = "TCP ports that the host may dial anywhere; its own firewall says which names. Ubuntu's package mirrors want 80, Debian's do not."
  type        = set(number)
  default     = [443]
  nullable    = false
}

variable "firewall_outbound" {
  description = "What the host may dial beside AWS and the certificate authority. HTTPS to anywhere by default, as packages and images need it; name mirrors and registry instead to have it stricter."
  type        = list(object({ to = string, port = number }))
  default     = [{ to = "0.0.0.0/0", port = 443 }]
  nullable    = false
}

variable "backup" {
  description = "When AWS Backup copies the data volume (a cron expression of AWS, UTC), and for how many days copies are kept."
  type = object({
    schedule  = optional(string, "cron(0 2 * * ? *)")
    keep_days = optional(number, 35)
  })
  default  = {}
  nullable = false
}

variable "emails" {
  description = "Who is told of alarms and of the budget; each confirms once, in the mail that AWS sends."
  type        = set(string)
  nullable    = false
}

variable "budget_usd" {
  description = "What the host may cost in a month, in US dollars; beyond it AWS tells, and stops nothing."
  type        = number
  nullable    = false

  validation {
    condition     = var.budget_usd >= 1 && floor(var.budget_usd) == var.budget_usd
    error_message = "budget_usd is a whole number of US dollars: write 800."
  }
}

variable "protected" {
  description = "Whether EC2 refuses to end the instance. False for the one apply that replaces it."
  type        = bool
  default     = true
  nullable    = false
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
