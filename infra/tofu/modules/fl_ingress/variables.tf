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

variable "vpc_id" {
  description = "VPC of the environment."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "vpc_id is the id of a VPC: write module.network.vpc_id."
  }
}

variable "vpc_cidr" {
  description = "Addresses of the VPC, where the FL servers are."
  type        = string
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr))
    error_message = "vpc_cidr is an IPv4 block: write module.network.cidr, or 10.20.0.0/16."
  }
}

variable "subnet_ids" {
  description = "Public subnets, by zone."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) >= 2 && alltrue([for id in values(var.subnet_ids) : can(regex("^subnet-[0-9a-f]+$", id))])
    error_message = "subnet_ids are ids of public subnets in at least two zones: write module.network.public_subnet_ids."
  }
}

variable "zone" {
  description = "Name of the hosted zone that holds the nets' hosts."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?[.])+[a-z]{2,63}$", var.zone))
    error_message = "zone is the name of a hosted zone in lower case, without a dot at its end: write example.org."
  }
}

variable "zone_id" {
  description = "Id of that zone."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Z0-9]{8,32}$", var.zone_id))
    error_message = "zone_id is the id of a hosted zone: write module.dns.zone_id."
  }
}

variable "nets" {
  description = "FL nets by name: the host that trusts reach each by, and its port."
  type = map(object({
    host = string
    port = optional(number, 443)
  }))
  nullable = false

  validation {
    condition     = length(var.nets) >= 1 && alltrue([for name in keys(var.nets) : can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", name))])
    error_message = "nets has at least one net, and names of 2 to 16 lower-case letters, digits and hyphens that begin with a letter: write net1."
  }
  validation {
    condition     = alltrue([for net in var.nets : can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?[.])+[a-z]{2,63}$", net.host)) && endswith(net.host, ".${var.zone}")])
    error_message = "A net's host is a lower-case name in zone: with the zone example.org write net1.fl.example.org."
  }
  validation {
    condition     = length(distinct(values(var.nets)[*].host)) == length(var.nets)
    error_message = "Two nets have the same host: write a host of its own for each, such as net1.fl.example.org and net2.fl.example.org."
  }
  validation {
    condition     = alltrue([for net in var.nets : net.port >= 1 && net.port <= 65535 && floor(net.port) == net.port])
    error_message = "A net's port is a whole number from 1 to 65535: write 443, which every trust's firewall knows."
  }
}

variable "allowed_cidrs" {
  description = "Addresses from which trusts may come. Whoever comes must prove who they are to the FL server, too (mutual TLS)."
  type        = set(string)
  default     = ["0.0.0.0/0"]
  nullable    = false

  validation {
    condition     = length(var.allowed_cidrs) >= 1 && alltrue([for cidr in var.allowed_cidrs : can(cidrnetmask(cidr)) && cidrsubnet(cidr, 0, 0) == cidr])
    error_message = "allowed_cidrs are IPv4 blocks that begin at their first address: write [\"203.0.113.0/24\"], or [\"0.0.0.0/0\"] for anywhere."
  }
  validation {
    condition     = length(var.allowed_cidrs) * length(distinct(values(var.nets)[*].port)) <= 60
    error_message = "allowed_cidrs times the nets' different ports makes more than the 60 rules that a security group holds: write fewer, larger blocks."
  }
}

variable "logs_bucket" {
  description = "Bucket that load balancers' access logs go to, below nlb/."
  type        = object({ name = string })
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.logs_bucket.name))
    error_message = "logs_bucket.name is a bucket's name, not its ARN: write module.storage.logs_bucket."
  }
}

variable "disposable" {
  description = "Whether this is a test's or a trial's, that may be destroyed."
  type        = bool
  default     = false
  nullable    = false
}
