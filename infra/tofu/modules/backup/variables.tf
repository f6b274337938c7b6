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

variable "key_arn" {
  description = "KMS key that encrypts the backups, as module keys gives it out."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.key_arn))
    error_message = "key_arn is the ARN of one key, not of an alias: write module.keys.data_arn."
  }
}

variable "resource_arns" {
  description = "By a name of yours, ARNs of what is backed up: RDS databases, EFS file systems, EBS volumes, S3 buckets that keep versions."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(var.resource_arns) > 0
    error_message = "resource_arns is empty: write { database = module.database.instance_arn }."
  }
  validation {
    condition = alltrue([for arn in values(var.resource_arns) : can(regex(join("|", [
      "^arn:aws[a-z-]*:rds:[a-z0-9-]+:[0-9]{12}:db:[a-z0-9-]+$",
      "^arn:aws[a-z-]*:elasticfilesystem:[a-z0-9-]+:[0-9]{12}:file-system/fs-[0-9a-f]+$",
      "^arn:aws[a-z-]*:ec2:[a-z0-9-]+:[0-9]{12}:volume/vol-[0-9a-f]+$",
      "^arn:aws[a-z-]*:s3:::[a-z0-9.-]+$",
    ]), arn))])
    error_message = "resource_arns are whole ARNs of RDS databases, EFS file systems, EBS volumes and S3 buckets, without *: write arn:aws:s3:::BUCKET."
  }
}

variable "schedule" {
  description = "When backups begin, as AWS's cron in UTC: minute, hour, day of month, month, day of week, year. An RDS database is not backed up in its own windows, nor in the hour before: module database has 02:00-03:00, and Sunday 03:30-04:30."
  type        = string
  default     = "cron(0 5 * * ? *)"
  nullable    = false

  # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
  validation {
    condition     = can(regex("^cron\\(\\S+( \\S+){5}\\)$", var.schedule))
    error_message = "schedule is cron(...) with six fields, the last of which is the year: write cron(0 5 * * ? *), not cron(0 5 * * *)."
  }
  validation {
    condition     = !can(regex("^cron\\(\\S+( \\S+){5}\\)$", var.schedule)) || can(regex("^cron\\(\\S+ \\S+ (\\? \\S+ [^? ]+|[^? ]+ \\S+ \\?) \\S+\\)$", var.schedule))
    error_message = "schedule has ? for the day of month or for the day of week, and for one of the two alone: write cron(0 5 * * ? *), or cron(0 5 ? * SUN *)."
  }
  validation {
    condition = !can(regex("^cron\\(\\S+( \\S+){5}\\)$", var.schedule)) || can(regex(join(" ", [
      "^cron\\([0-5]?[0-9]",
      "(\\*|\\*/[1-9]|([01]?[0-9]|2[0-3])([,-]([01]?[0-9]|2[0-3]))*)",
      "(\\?|\\*|L|([1-9]|[12][0-9]|3[01])W?([,-]([1-9]|[12][0-9]|3[01]))*)",
      "(\\*|([1-9]|1[0-2]|[A-Z]{3})([,-]([1-9]|1[0-2]|[A-Z]{3}))*)",
      "(\\?|\\*|([1-7]|SUN|MON|TUE|WED|THU|FRI|SAT)(L|#[1-5]|([,-]([1-7]|SUN|MON|TUE|WED|THU|FRI|SAT))*))",
      "(\\*|20[0-9]{2}(-20[0-9]{2})?)\\)$",
    ]), var.schedule))
    error_message = "schedule has a field out of range, or more than one minute, and AWS Backup begins once an hour at most: write cron(0 5 * * ? *), with a minute from 0 to 59 and an hour from 0 to 23."
  }
}

variable "keep_days" {
  description = "How many days each backup is kept. Nobody can delete one earlier, unless it is disposable."
  type        = number
  default     = 35
  nullable    = false

  validation {
    condition     = var.keep_days >= 7 && var.keep_days <= 3650 && floor(var.keep_days) == var.keep_days
    error_message = "keep_days is a whole number from 7 to 3650: write 35."
  }
}

variable "disposable" {
  description = "A test's or a trial's: the vault is not locked, and may be destroyed with its backups."
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
