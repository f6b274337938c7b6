variable "gpus" {
  description = "GPUs that the host has at least. EC2 has no type with two: for 2 it is one with four."
  type        = number
  nullable    = false

  validation {
    condition     = contains([1, 2, 4, 8], var.gpus)
    error_message = "gpus is 1, 2, 4 or 8: write the number of GPUs that one host shall have."
  }
}

variable "gpu_memory_gb" {
  description = "Memory of each GPU at least, in GiB as AWS counts it: a card that is sold with 24 GB has 22, one with 48 GB has 44."
  type        = number
  nullable    = false

  validation {
    condition     = var.gpu_memory_gb >= 1 && floor(var.gpu_memory_gb) == var.gpu_memory_gb
    error_message = "gpu_memory_gb is a whole number of GiB of one GPU: write 16, 22, 44 or 80."
  }
}

variable "memory_gb" {
  description = "Memory of the host at least, in GiB."
  type        = number
  default     = 32
  nullable    = false

  validation {
    condition     = var.memory_gb >= 1 && floor(var.memory_gb) == var.memory_gb
    error_message = "memory_gb is a whole number of GiB: write 32."
  }
}

variable "families" {
  description = "Families to choose from, such as those that the region has; none named: all."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(setsubtract(var.families, ["g4dn", "g5", "g6", "g6e", "p4d", "p4de", "p5", "p5e", "p5en", "p6-b200"])) == 0
    error_message = "families has one that is not in the table: write some of g4dn, g5, g6, g6e, p4d, p4de, p5, p5e, p5en and p6-b200."
  }
}
