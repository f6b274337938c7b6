variable "project" {
  description = "First part of every name, such as flip."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", var.project))
    error_message = "project is 2 to 16 lower-case letters, digits and hyphens, and begins with a letter: write flip, not \"FLIP Hub\"."
  }
  validation {
    condition     = !can(regex("--", "${var.project}-${var.environment}"))
    error_message = "project and environment have two hyphens in a row, which RDS takes in no name: write flip-hub, not flip--hub."
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
  description = "AWS region of the database."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+){1,2}-[1-9]$", var.region))
    error_message = "region is the code of a region, not of a zone and not its title: write eu-west-2, not eu-west-2a or London."
  }
}

variable "vpc_id" {
  description = "Network of the database, as module network gives it out."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "vpc_id is the id of a VPC: write module.network.vpc_id."
  }
}

variable "subnet_ids" {
  description = "By zone, the subnets for data, as module network gives them out."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids has one zone, and RDS wants two at least, even for a database in one: write module.network.data_subnet_ids."
  }
  validation {
    condition     = alltrue([for id in values(var.subnet_ids) : can(regex("^subnet-[0-9a-f]+$", id))])
    error_message = "subnet_ids are ids of subnets by zone: write module.network.data_subnet_ids."
  }
}

variable "key_arn" {
  description = "KMS key that encrypts storage, snapshots, insights and the password, as module keys gives it out."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.key_arn))
    error_message = "key_arn is the ARN of one key, not of an alias: write module.keys.data_arn."
  }
}

variable "logs_key_arn" {
  description = "KMS key that encrypts the database's logs, as module keys gives it out."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.logs_key_arn))
    error_message = "logs_key_arn is the ARN of one key, not of an alias: write module.keys.logs_arn."
  }
}

variable "log_days" {
  description = "How many days the database's logs are kept."
  type        = number
  default     = 365
  nullable    = false

  # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
  validation {
    condition     = contains([90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_days)
    error_message = "log_days is a number of days that CloudWatch Logs knows, and at least 90: write 90, 180, 365, 400, 731, 1096, 1827 or 3653."
  }
}

variable "engine_version" {
  description = "Major version of PostgreSQL; AWS chooses the minor one and keeps it current."
  type        = string
  default     = "17"
  nullable    = false

  # https://docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes/postgresql-release-calendar.html
  validation {
    condition     = contains(["15", "16", "17"], var.engine_version)
    error_message = "engine_version is a major version of PostgreSQL, 15, 16 or 17: write \"17\", not 17.5, since AWS moves the minor version."
  }
}

variable "allow_major_upgrade" {
  description = "Whether another engine_version upgrades the database, which is down meanwhile and cannot go back."
  type        = bool
  default     = false
  nullable    = false
}

variable "instance_class" {
  description = "RDS instance class."
  type        = string
  default     = "db.t4g.medium"
  nullable    = false

  # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.Types.html
  validation {
    condition = can(regex(join("|", [
      "^db\\.(t3|t4g)\\.(micro|small|medium|large|xlarge|2xlarge)$",
      "^db\\.(m6g|m7g|r6g|r7g)\\.(large|(2|4|8|12|16)?xlarge)$",
      "^db\\.(m6i|r6i)\\.(large|(2|4|8|12|16|24|32)?xlarge)$",
      "^db\\.(m8g|r8g)\\.(large|(2|4|8|12|16|24|48)?xlarge)$",
    ]), var.instance_class))
    error_message = "instance_class is a class that RDS has for PostgreSQL, of the families t3, t4g, m6g, m6i, m7g, m8g, r6g, r6i, r7g and r8g: write db.t4g.medium, or db.m7g.large for production."
  }
}

variable "storage" {
  description = "GiB of storage at first, and at most: RDS adds some when little is left, and never gives any back."
  type = object({
    gb     = optional(number, 20)
    max_gb = optional(number, 100)
  })
  default  = {}
  nullable = false

  # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html
  validation {
    condition     = var.storage.gb >= 20 && var.storage.gb <= 65536 && floor(var.storage.gb) == var.storage.gb
    error_message = "storage.gb is a whole number from 20 to 65536, as RDS has it for gp3: write 20."
  }
  validation {
    condition     = var.storage.max_gb >= ceil(var.storage.gb * 1.1) && var.storage.max_gb <= 65536 && floor(var.storage.max_gb) == var.storage.max_gb
    error_message = "storage.max_gb is a whole number, a tenth more than storage.gb at least and 65536 at most: write 100 for a gb of 20."
  }
}

variable "multi_az" {
  description = "Whether a second instance in another zone takes over when the first fails; it doubles the price."
  type        = bool
  default     = true
  nullable    = false
}

variable "backup_days" {
  description = "How many days back the database can be restored to any second."
  type        = number
  default     = 14
  nullable    = false

  validation {
    condition     = var.backup_days >= 1 && var.backup_days <= 35 && floor(var.backup_days) == var.backup_days
    error_message = "backup_days is a whole number from 1 to 35, as RDS has it: write 14; module backup keeps copies longer."
  }
}

variable "disposable" {
  description = "A test's or a trial's: changes are made at once, and the database may be destroyed, with its backups and without a last snapshot."
  type        = bool
  default     = false
  nullable    = false
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
