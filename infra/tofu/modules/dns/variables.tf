variable "domain" {
  description = "Name by which browsers and trusts reach the hub."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?[.])+[a-z]{2,63}$", var.domain)) && length(var.domain) <= 64
    error_message = "domain is a host name of at most 64 lower-case characters (a certificate's limit), without https:// or a path: write flip.example.org."
  }
  validation {
    condition     = var.domain == var.zone || endswith(var.domain, ".${var.zone}")
    error_message = "domain is not in zone: with the zone example.org write example.org, or a name that ends in .example.org."
  }
}

variable "zone" {
  description = "Public hosted zone of Route 53 that holds the domain; it exists already."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?[.])+[a-z]{2,63}$", var.zone))
    error_message = "zone is the name of a hosted zone in lower case, without a dot at its end: write example.org."
  }
}

variable "caa_issuers" {
  description = "Authorities that may issue certificates for the domain (CAA). Without any no record is made."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(var.caa_issuers) == 0 || length(setintersection(var.caa_issuers, ["amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com"])) > 0
    error_message = "caa_issuers leave Amazon out, which issues this hub's certificates: write [\"amazon.com\"], with others beside it."
  }
}
