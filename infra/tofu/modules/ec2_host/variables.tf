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

variable "name" {
  description = "What the host is for, the third part of its name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", var.name))
    error_message = "name is 2 to 16 lower-case letters, digits and hyphens, and begins with a letter: write dashboard or trust."
  }
}

variable "region" {
  description = "AWS region of the host."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+){1,2}-[1-9]$", var.region))
    error_message = "region is the code of a region, not of a zone and not its title: write eu-west-2, not eu-west-2a or London."
  }
}

variable "vpc_id" {
  description = "Network of the host."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "vpc_id is the id of a network: write vpc-0123456789abcdef0. `aws ec2 describe-vpcs` lists them."
  }
}

variable "subnet" {
  description = "Its subnet, and the availability zone of that: the data volume is there, and cannot move."
  type        = object({ id = string, zone = string })
  nullable    = false

  validation {
    condition     = can(regex("^subnet-[0-9a-f]+$", var.subnet.id))
    error_message = "subnet.id is the id of a subnet: write subnet-0123456789abcdef0. `aws ec2 describe-subnets` lists them."
  }
  validation {
    condition     = can(regex("^${var.region}[a-h]$", var.subnet.zone))
    error_message = "subnet.zone is the zone of that subnet, in the region: write eu-west-2a."
  }
}

variable "instance_type" {
  description = "EC2 type, x86 with Nitro: older ones know no NVMe, by which the data volume is found."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)?\\.([0-9]*x?large|medium|small|metal(-[0-9]+xl)?)$", var.instance_type))
    error_message = "instance_type is a type of EC2 with its size: write t3.medium or g6.2xlarge."
  }
  validation {
    condition     = !can(regex("^([a-z]+[0-9]+g[a-z]*|a1|t[12]|[mc][1-4]|r[34]|x1e?|[gp][1-3]s?|h1|hs1|[di]2)\\.", var.instance_type))
    error_message = "instance_type is an ARM type (its family has a g behind its number) or one before Nitro, and FLIP's images are x86: write t3.medium, m6i.large or g6.2xlarge."
  }
}

variable "ami" {
  description = "Image that the host is made of, Debian 12 or 13, or Ubuntu 22.04 or 24.04, x86: its id, or the public parameter of Systems Manager that names the newest. A host that is there keeps its own."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^(ami-[0-9a-f]{8,17}|/aws/service/(debian/release/1[23]/latest/amd64|canonical/ubuntu/server/2[24]\\.04/stable/[a-z0-9.]+/amd64/hvm/ebs-gp[23]/ami-id|deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-2[24]\\.04/latest/ami-id))$", var.ami))
    error_message = "ami is an image's id, or a public parameter that names one: write /aws/service/debian/release/12/latest/amd64, /aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id, or for GPUs /aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id."
  }
}

variable "user" {
  description = "The user that the image's makers put there: admin on Debian, ubuntu on Ubuntu."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["admin", "ubuntu"], var.user)
    error_message = "user is admin for Debian's images, ubuntu for Ubuntu's."
  }
}

variable "operator_keys" {
  description = "Public SSH keys of the operators, for the way through Session Manager. Read at the first start alone: Ansible, or the operators, change them later."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.operator_keys) > 0 && alltrue([for key in var.operator_keys : can(regex("^(ssh-ed25519|ecdsa-sha2-nistp[0-9]+|sk-ssh-ed25519@openssh.com|ssh-rsa) AAAA[A-Za-z0-9+/=]+( [^\\n]*)?$", key))])
    error_message = "operator_keys has one or more public keys, each a line as in a .pub file: write [\"ssh-ed25519 AAAA... ada@example.org\"]."
  }
}

variable "key_arn" {
  description = "KMS key of both volumes, as module keys gives it out."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.key_arn))
    error_message = "key_arn is the ARN of one key, not of an alias: write module.keys.data_arn."
  }
}

variable "root_gb" {
  description = "GiB of the root volume, which has the system and Docker's images."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.root_gb >= 20 && var.root_gb <= 16384 && floor(var.root_gb) == var.root_gb
    error_message = "root_gb is a whole number of GiB from 20 to 16384: write 100."
  }
}

variable "data_gb" {
  description = "GiB of the data volume, mounted at /opt/flip. It can grow, and not shrink."
  type        = number
  nullable    = false

  validation {
    condition     = var.data_gb >= 10 && var.data_gb <= 16384 && floor(var.data_gb) == var.data_gb
    error_message = "data_gb is a whole number of GiB from 10 to 16384: write 200."
  }
}

variable "ingress" {
  description = "Ports that are open, by what each is for, and to which networks. None by default."
  type        = map(object({ port = number, cidrs = set(string) }))
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name, door in var.ingress : can(regex("^[A-Za-z0-9 ._-]{1,60}$", name)) && door.port >= 1 && door.port <= 65535])
    error_message = "ingress has ports from 1 to 65535 by short names: write { dashboard = { port = 443, cidrs = [\"0.0.0.0/0\"] } }."
  }
  validation {
    condition     = alltrue([for door in values(var.ingress) : door.port != 22])
    error_message = "ingress opens port 22: leave it out, SSH comes through Session Manager."
  }
  validation {
    condition     = alltrue(flatten([for door in values(var.ingress) : [for cidr in door.cidrs : try(cidrhost(cidr, 0) == split("/", cidr)[0], false) && !strcontains(cidr, ":")]]))
    error_message = "ingress has something that is no IPv4 network, or begins inside one: write 192.0.2.0/24."
  }
}

variable "egress_ports" {
  description = "TCP ports that the host may dial anywhere; names it may dial are for the host's own firewall to say, a security group knows addresses alone. Ubuntu's package mirrors want 80."
  type        = set(number)
  default     = [443]
  nullable    = false

  validation {
    condition     = contains(var.egress_ports, 443) && alltrue([for port in var.egress_ports : port >= 1 && port <= 65535 && floor(port) == port])
    error_message = "egress_ports has 443, without which nobody reaches the host, and other ports from 1 to 65535: write [443]."
  }
}

variable "public" {
  description = "Whether it has an elastic address."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = var.public || length(var.ingress) == 0 || alltrue([for door in values(var.ingress) : !contains(door.cidrs, "0.0.0.0/0")])
    error_message = "public is false, and ingress is open to the world, which cannot reach the host: write true, or the networks that can."
  }
}

variable "policies" {
  description = "What else the host may do: IAM policies as JSON, by name."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name, policy in var.policies : name != "sessions" && can(regex("^[\\w+=,.@-]{1,128}$", name))])
    error_message = "policies has a name that is taken (sessions) or that IAM does not know: write short names such as dns."
  }
}

variable "alarm_topic_arn" {
  description = "SNS topic that is told when the host is unwell."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$", var.alarm_topic_arn))
    error_message = "alarm_topic_arn is the ARN of a topic: write module.alarm_topic.arn."
  }
}

variable "protected" {
  description = "Whether EC2 refuses to end the instance. False for the one apply that replaces it."
  type        = bool
  default     = true
  nullable    = false
}

variable "disposable" {
  description = "A test's or a trial's: it may be destroyed with its data, without a last snapshot."
  type        = bool
  default     = false
  nullable    = false
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the host's role, where the account's administrators ask for one."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:policy/", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn is the ARN of a policy of your own account: write arn:aws:iam::123456789012:policy/NAME, or leave it out."
  }
}
