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
  description = "Addresses of the VPC, where the hub is."
  type        = string
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr))
    error_message = "vpc_cidr is an IPv4 block: write module.network.cidr, or 10.20.0.0/16."
  }
}

variable "subnet_ids" {
  description = "Private subnets of the load balancer, by zone."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) >= 2 && alltrue([for id in values(var.subnet_ids) : can(regex("^subnet-[0-9a-f]+$", id))])
    error_message = "subnet_ids are ids of private subnets in at least two zones: write module.network.private_subnet_ids."
  }
}

variable "domain" {
  description = "Name by which browsers and trusts reach the hub."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?[.])+[a-z]{2,63}$", var.domain))
    error_message = "domain is a host name in lower case, without https:// or a path: write flip.example.org."
  }
}

variable "zone_id" {
  description = "Id of the hosted zone that holds the domain."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Z0-9]{8,32}$", var.zone_id))
    error_message = "zone_id is the id of a hosted zone: write module.dns.zone_id."
  }
}

variable "certificates" {
  description = "ARNs of certificates for the domain: CloudFront's (edge) and the load balancer's (origin)."
  type        = object({ edge = string, origin = string })
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:acm:us-east-1:[0-9]{12}:certificate/.+$", var.certificates.edge))
    error_message = "certificates.edge is the ARN of a certificate in us-east-1, where alone CloudFront looks: write module.dns.certificates."
  }
  validation {
    condition     = can(regex("^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/.+$", var.certificates.origin))
    error_message = "certificates.origin is the ARN of a certificate in the load balancer's region: write module.dns.certificates."
  }
}

variable "pages_bucket" {
  description = "Bucket of the web pages."
  type        = object({ name = string, arn = string, domain = string })
  nullable    = false

  validation {
    condition     = can(regex("^${var.pages_bucket.name}[.]s3[.].+", var.pages_bucket.domain)) && can(regex("^arn:aws[a-z-]*:s3:::${var.pages_bucket.name}$", var.pages_bucket.arn))
    error_message = "pages_bucket is one bucket's name, ARN and regional address (NAME.s3.REGION.amazonaws.com): write module.storage.pages_bucket."
  }
}

variable "logs_bucket" {
  description = "Bucket that access logs go to, below alb/ and cloudfront/."
  type        = object({ name = string, domain = string })
  nullable    = false

  validation {
    condition     = can(regex("^${var.logs_bucket.name}[.]s3[.].+", var.logs_bucket.domain))
    error_message = "logs_bucket is one bucket's name and address (NAME.s3.amazonaws.com): write module.storage.logs_bucket."
  }
}

variable "log_days" {
  description = "How many days the firewall's log is kept."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = contains([90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_days)
    error_message = "log_days is a time that CloudWatch knows, of at least 90 days: write 90, 180, 365 or 731."
  }
}

variable "long_poll_seconds" {
  description = "How long the hub holds a trust's poll open until there is work. The timeouts on the way follow from it."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.long_poll_seconds >= 1 && var.long_poll_seconds <= 90 && floor(var.long_poll_seconds) == var.long_poll_seconds
    error_message = "long_poll_seconds is a whole number from 1 to 90: CloudFront waits 120 s for an answer, of which 30 are kept for the hub's own work. Write 30."
  }
}

variable "trust_key_header" {
  description = "Header in which a trust sends its key (the hub's TRUST_API_KEY_HEADER); the firewall's log never shows it."
  type        = string
  default     = "X-Trust-Api-Key"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9-]{1,63}$", var.trust_key_header)) && !can(regex("^(?i)(x-amz-|x-amzn-|x-edge-|cloudfront-|x-real-ip$|x-forwarded-)", var.trust_key_header))
    error_message = "trust_key_header is the name of a header that CloudFront hands on, so none of its own (X-Amz-, X-Edge-, CloudFront-, X-Forwarded-, X-Real-IP): write X-Trust-Api-Key."
  }
}

variable "rate_limit" {
  description = "Requests in five minutes from one address, after which it is refused: from people, and below /api/trust/, where many trusts may share an address."
  type = object({
    people = optional(number, 3000)
    trusts = optional(number, 30000)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for limit in values(var.rate_limit) : limit >= 100 && limit <= 2000000000 && floor(limit) == limit])
    error_message = "rate_limit.people and rate_limit.trusts are whole numbers from 100 to 2000000000: write { people = 3000, trusts = 30000 }."
  }
  validation {
    condition     = var.rate_limit.trusts >= var.rate_limit.people
    error_message = "rate_limit.trusts is less than rate_limit.people, yet many trusts may share one address: write a larger one, such as 30000."
  }
}

variable "sign_in_origins" {
  description = "Other origins that the pages talk to and send forms to, such as the identity provider's."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for origin in var.sign_in_origins : can(regex("^https://[a-z0-9.-]+$", origin))])
    error_message = "sign_in_origins are origins, without a path: write https://flip-stag.auth.eu-west-2.amazoncognito.com."
  }
}

variable "disposable" {
  description = "Whether this is a test's or a trial's, that may be destroyed."
  type        = bool
  default     = false
  nullable    = false
}
