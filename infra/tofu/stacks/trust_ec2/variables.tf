variable "project" {
  description = "First part of every name: the trust's, where an account has several."
  type        = string
  default     = "flip-trust"
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
  description = "Subnet of the host: a private one that reaches the internet by NAT, and what else the trust needs, such as its PACS."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^subnet-[0-9a-f]+$", var.subnet_id))
    error_message = "subnet_id is the id of a subnet: write subnet-0123456789abcdef0. `aws ec2 describe-subnets` lists them."
  }
}

variable "gpus" {
  description = "GPUs that the host has at least: 1, 2, 4 or 8."
  type        = number
  nullable    = false
}

variable "gpu_memory_gb" {
  description = "Memory of each GPU at least, in GiB as AWS counts it: a card that is sold with 24 GB has 22."
  type        = number
  nullable    = false
}

variable "memory_gb" {
  description = "Memory of the host at least, in GiB."
  type        = number
  default     = 32
  nullable    = false
}

variable "gpu_families" {
  description = "Families of EC2 types to choose from, such as those that the region has; none named: all that are known."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "ami" {
  description = "Image with NVIDIA's driver: its id, or the public parameter that names the newest. A host that is there keeps its own."
  type        = string
  default     = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id"
  nullable    = false
}

variable "user" {
  description = "The user that the image's makers put there."
  type        = string
  default     = "ubuntu"
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
  default     = 150
  nullable    = false
}

variable "data_gb" {
  description = "GiB of the data volume at /opt/flip."
  type        = number
  default     = 200
  nullable    = false
}

variable "hub_url" {
  description = "The hub's API, as its ADMIN tells you with the kit."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^https://[a-z0-9.-]+(:[0-9]+)?(/[^?#]*)?$", var.hub_url))
    error_message = "hub_url is the API's URL: write https://hub.example.org/api."
  }
}

variable "fl_server" {
  description = "The FL server, HOST:PORT, as the hub's ADMIN tells you with the kit."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9.-]+:[0-9]+$", var.fl_server))
    error_message = "fl_server is host and port: write fl.example.org:443."
  }
}

variable "ingress" {
  description = "Ports that are open to networks of the trust's, by what each is for, such as the PACS that sends images. None by default; never SSH, never the world."
  type        = map(object({ port = number, cidrs = set(string) }))
  default     = {}
  nullable    = false
}

variable "egress_ports" {
  description = "TCP ports that the host may dial anywhere; its own firewall says which names. 80 is for Ubuntu's package mirrors, which speak HTTP (apt checks signatures): leave it out where packages come from a bundle."
  type        = set(number)
  default     = [80, 443]
  nullable    = false
}

variable "firewall_outbound" {
  description = "What the host may dial beside hub, FL server and AWS: package mirrors, registry, PACS. flip_firewall_outbound of the inventory."
  type        = list(object({ to = string, port = number }))
  default     = []
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
