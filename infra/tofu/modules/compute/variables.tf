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
  description = "AWS region that holds the environment."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+){1,2}-[1-9]$", var.region))
    error_message = "region is the code of a region, not of a zone and not its title: write eu-west-2, not eu-west-2a or London."
  }
}

variable "permissions_boundary_arn" {
  description = "Boundary that every role made here carries; null: none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn is the ARN of a policy of your account: write arn:aws:iam::123456789012:policy/NAME, or null."
  }
}

variable "disposable" {
  description = "Whether this is a test's or a trial's: former task definitions, to which an upgrade is rolled back, are then not kept."
  type        = bool
  default     = false
  nullable    = false
}

variable "vpc_id" {
  description = "VPC of the tasks."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "vpc_id is the id of a VPC: write module.network.vpc_id."
  }
}

variable "vpc_cidr" {
  description = "Addresses of the VPC: the VPC endpoints, and the load balancer in front of the hub, whose X-Forwarded-For is believed."
  type        = string
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr))
    error_message = "vpc_cidr is an IPv4 block: write module.network.cidr, such as 10.20.0.0/16."
  }
}

variable "subnet_ids" {
  description = "Private subnets of the tasks, by zone."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) >= 2 && alltrue([for id in values(var.subnet_ids) : can(regex("^subnet-[0-9a-f]+$", id))])
    error_message = "subnet_ids are ids of private subnets in at least two zones: write module.network.private_subnet_ids."
  }
}

variable "s3_prefix_list_id" {
  description = "Prefix list of S3's gateway endpoint, over which images' layers and the hub's files come."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^pl-[0-9a-f]+$", var.s3_prefix_list_id))
    error_message = "s3_prefix_list_id is the id of S3's prefix list: write module.network.s3_prefix_list_id."
  }
}

variable "outbound_cidrs" {
  description = "Addresses outside the VPC that tasks reach, on port 443 alone: registries, Cognito's keys, AWS where it has no endpoint in the VPC."
  type        = set(string)
  default     = ["0.0.0.0/0"]
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.outbound_cidrs : can(cidrnetmask(cidr))])
    error_message = "outbound_cidrs are IPv4 blocks: write [\"0.0.0.0/0\"], or [] where the VPC has an endpoint for all that is needed."
  }
}

variable "log_days" {
  description = "How many days logs are kept."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = contains([90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_days)
    error_message = "log_days is one of CloudWatch's periods from 90 days on (90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, ... 3653): write 365."
  }
}

variable "logs_key_arn" {
  description = "KMS key of the logs; CloudWatch Logs must be allowed to use it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.logs_key_arn))
    error_message = "logs_key_arn is the ARN of one key, not of an alias: write module.keys.logs_arn."
  }
}

variable "key_arns" {
  description = "KMS keys: `data` encrypts secrets and files, `master` guards the hub's wrapping key."
  type = object({
    data   = string
    master = string
  })
  nullable = false

  validation {
    condition     = alltrue([for arn in values(var.key_arns) : can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", arn))])
    error_message = "key_arns are ARNs of keys, not of aliases: write { data = module.keys.data_arn, master = module.keys.master_arn }."
  }
}

variable "execute_command" {
  description = "Whether operators may open a shell in a task (ECS Exec), each session written to a log. AWS's agent needs a root file system that can be written."
  type        = bool
  default     = false
  nullable    = false
}

variable "images" {
  description = "Images of hub and FL server, each by digest."
  type = object({
    hub       = string
    fl_server = string
  })
  nullable = false

  validation {
    condition     = alltrue([for image in values(var.images) : can(regex("^[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}$", image)) && !can(regex(":[^/]*@", image))])
    error_message = "images are named by digest, which nobody can move: write name@sha256:DIGEST, such as ghcr.io/example/hub@sha256:..., without a tag. `docker buildx imagetools inspect NAME:TAG` shows the digest."
  }
}

variable "hub" {
  description = "The hub's tasks: CPU units and MiB of memory of each, fewest and most of them, results that a task may receive at once (which its disk holds), and settings as docs/settings.md has them."
  type = object({
    cpu             = optional(number, 1024)
    memory          = optional(number, 2048)
    min             = optional(number, 2)
    max             = optional(number, 6)
    results_at_once = optional(number, 2)
    settings        = optional(map(string), {})
  })
  default  = {}
  nullable = false

  # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
  validation {
    condition = contains(try({
      256  = [512, 1024, 2048], 512 = range(1024, 4097, 1024), 1024 = range(2048, 8193, 1024), 2048 = range(4096, 16385, 1024),
      4096 = range(8192, 30721, 1024), 8192 = range(16384, 61441, 4096), 16384 = range(32768, 122881, 8192)
    }[tostring(var.hub.cpu)], []), var.hub.memory)
    error_message = "hub.cpu and hub.memory are no pair that Fargate has: write 1024 with 2048 to 8192, 2048 with 4096 to 16384, in steps of 1024 (MiB)."
  }
  validation {
    condition     = var.hub.min >= 1 && var.hub.max >= var.hub.min && var.hub.max <= 50 && floor(var.hub.min) == var.hub.min && floor(var.hub.max) == var.hub.max
    error_message = "hub.min and hub.max are whole numbers with 1 <= min <= max <= 50: write 2 and 6. A hub that is to outlive a zone has min = 2."
  }
  validation {
    condition     = var.hub.results_at_once >= 1 && try(10 + ceil(tonumber(lookup(var.hub.settings, "HUB_RESULT_MAX_BYTES", "20000000000")) * var.hub.results_at_once / 1073741824) <= 200, false)
    error_message = "hub.results_at_once (at least 1) times HUB_RESULT_MAX_BYTES, with 10 GiB for the image, is more than the 200 GiB that Fargate gives a task: lower one of them."
  }
  validation {
    condition     = length(setintersection(keys(var.hub.settings), ["FL_API_KEY", "INTERNAL_SERVICE_KEY", "INTERNAL_SERVICE_KEY_HASH", "TRUST_API_KEY_HASHES", "TRUST_AES_KEYS"])) == 0
    error_message = "hub.settings has a secret in it, which whoever may look at the task would read: put it into the secret that secret_arns names; trusts are registered at the hub."
  }
  validation {
    condition = length(setintersection(keys(var.hub.settings), [
      "HUB_DATA_DIR", "HUB_FILES_BUCKET", "HUB_FILES_PREFIX", "HUB_MASTER_KEY_FILE", "HUB_MASTER_KMS_KEY", "DATABASE_URL", "DATABASE_SECRET",
      "FL_NETS", "HUB_OIDC_ISSUER", "HUB_OIDC_CLIENT_ID", "AWS_DEFAULT_REGION"
    ])) == 0
    error_message = "hub.settings has a setting that this module computes (database, files, keys, FL nets, sign-in): remove it, and set the module's own variable."
  }
}

variable "nets" {
  description = "FL nets by name: CPU units and MiB of memory of each one's task, and settings as docs/settings.md has them."
  type = map(object({
    cpu      = optional(number, 1024)
    memory   = optional(number, 4096)
    settings = optional(map(string), {})
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for name in keys(var.nets) : can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", name)) && name != "hub"])
    error_message = "nets have names of 2 to 16 lower-case letters, digits and hyphens that begin with a letter, and are not hub: write net1."
  }
  validation {
    condition = alltrue([for net in values(var.nets) : contains(try({
      256  = [512, 1024, 2048], 512 = range(1024, 4097, 1024), 1024 = range(2048, 8193, 1024), 2048 = range(4096, 16385, 1024),
      4096 = range(8192, 30721, 1024), 8192 = range(16384, 61441, 4096), 16384 = range(32768, 122881, 8192)
    }[tostring(net.cpu)], []), net.memory)])
    error_message = "nets has cpu and memory that are no pair that Fargate has: write 1024 with 2048 to 8192, 2048 with 4096 to 16384, in steps of 1024 (MiB)."
  }
  validation {
    condition     = alltrue(flatten([for net in values(var.nets) : [for name in keys(net.settings) : can(regex("^FL_(MAX_APP_BYTES|(WATCH|GRID_POLL|SITE_GRACE)_SECONDS)$", name))]]))
    error_message = "nets.settings takes FL_MAX_APP_BYTES, FL_WATCH_SECONDS, FL_GRID_POLL_SECONDS and FL_SITE_GRACE_SECONDS; the module computes the others, and keys are secrets."
  }
}

variable "target_group_arns" {
  description = "Target groups: `hub` behind the ALB, and behind the NLB one for each net, by its name."
  type = object({
    hub  = string
    nets = map(string)
  })
  nullable = false

  validation {
    condition     = can(regex(":targetgroup/", var.target_group_arns.hub)) && alltrue([for net in keys(var.nets) : can(regex(":targetgroup/", var.target_group_arns.nets[net]))])
    error_message = "target_group_arns are ARNs of target groups, one for each net: write { hub = module.edge.target_group_arn, nets = module.fl_ingress.target_group_arns }."
  }
}

variable "ingress_security_group_ids" {
  description = "Security groups of what stands in front: of the ALB (`hub`) and of the NLB (`fl`)."
  type = object({
    hub = string
    fl  = string
  })
  nullable = false

  validation {
    condition     = alltrue([for id in values(var.ingress_security_group_ids) : can(regex("^sg-[0-9a-f]+$", id))])
    error_message = "ingress_security_group_ids are ids of groups: write { hub = module.edge.alb_security_group_id, fl = module.fl_ingress.nlb_security_group_id }."
  }
}

variable "database" {
  description = "The hub's database, as module database gives it out; the secret is RDS's own, with user and password."
  type = object({
    address           = string
    port              = number
    name              = string
    secret_arn        = string
    security_group_id = string
  })
  nullable = false

  validation {
    condition     = can(regex("^[a-z0-9.-]+$", var.database.address)) && can(regex("^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+$", var.database.secret_arn))
    error_message = "database.address is a host without scheme and port, database.secret_arn the ARN of its user's secret: write module.database.address and module.database.secret_arn."
  }
}

variable "database_ca" {
  description = "Object of S3 with the authorities that the database's certificate is checked against: AWS's global-bundle.pem."
  type = object({
    bucket = string
    key    = string
  })
  nullable = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.database_ca.bucket)) && can(regex("^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", var.database_ca.key))
    error_message = "database_ca names an object: write { bucket = module.storage.files_bucket.name, key = \"config/rds-ca.pem\" }."
  }
}

variable "files_bucket" {
  description = "Bucket of the hub's files."
  type = object({
    name = string
    arn  = string
  })
  nullable = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:s3:::[a-z0-9.-]+$", var.files_bucket.arn))
    error_message = "files_bucket has the name and the ARN of one bucket: write module.storage.files_bucket."
  }
}

variable "files_prefix" {
  description = "What keys of the hub's files begin with; each database needs one of its own."
  type        = string
  default     = "hub"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$", var.files_prefix)) && length(var.files_prefix) <= 200
    error_message = "files_prefix has up to 200 letters, digits, '_', '.' and '-', with '/' between its parts and none at either end: write hub."
  }
}

variable "efs" {
  description = "File system of the nets' state."
  type = object({
    id  = string
    arn = string
  })
  nullable = false

  validation {
    condition     = can(regex("^fs-[0-9a-f]+$", var.efs.id)) && can(regex(":file-system/fs-[0-9a-f]+$", var.efs.arn))
    error_message = "efs has the id and the ARN of a file system: write module.storage.efs."
  }
}

variable "efs_access_points" {
  description = "Access point of each net, by its name, which makes its folder belong to 10001."
  type = map(object({
    id  = string
    arn = string
  }))
  default  = {}
  nullable = false

  validation {
    condition     = length(setsubtract(keys(var.nets), keys(var.efs_access_points))) == 0
    error_message = "efs_access_points lacks one of the nets: give module storage the same nets."
  }
}

variable "efs_security_group_id" {
  description = "Security group of the file system's mount targets; the nets' tasks are let in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^sg-[0-9a-f]+$", var.efs_security_group_id))
    error_message = "efs_security_group_id is the id of a group: write module.storage.efs_security_group_id."
  }
}

variable "secret_arns" {
  description = "Secrets by name: internal-service-key, internal-service-key-hash, fl-api-key, and fl-NET-certificate and fl-NET-key for each net."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(setsubtract(concat(["internal-service-key", "internal-service-key-hash", "fl-api-key"], flatten([for net in keys(var.nets) : ["fl-${net}-certificate", "fl-${net}-key"]])), keys(var.secret_arns))) == 0
    error_message = "secret_arns lacks one of internal-service-key, internal-service-key-hash, fl-api-key, or fl-NET-certificate and fl-NET-key of a net: name it in module secrets."
  }
  validation {
    condition     = alltrue([for arn in values(var.secret_arns) : can(regex("^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+$", arn))])
    error_message = "secret_arns are ARNs, never a secret's value: write module.secrets.arns."
  }
}

variable "oidc" {
  description = "Who signs users in; null: the hub's own accounts."
  type = object({
    issuer    = string
    client_id = string
  })
  default = null

  validation {
    condition     = var.oidc == null || can(regex("^https://[^/]+/?.*[^/]$", var.oidc.issuer))
    error_message = "oidc.issuer is a URL with https and without / at its end: write { issuer = module.identity.issuer, client_id = module.identity.client_id }, or null."
  }
}
