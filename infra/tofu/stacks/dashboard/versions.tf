terraform {
  required_version = ">= 1.10.0, < 2.0.0" # 1.10 brought use_lockfile to OpenTofu and Terraform

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }

  # The bucket is what `flipctl hub bootstrap` made; docs/hub-aws.md has the command that names it.
  backend "s3" {}
}

locals {
  tags = {
    Project     = var.project
    Environment = var.environment
    Stack       = "dashboard"
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id] # the profile of another account is refused before anything is made

  default_tags {
    tags = local.tags
  }
}

# Route 53 measures its health checks there alone.
provider "aws" {
  alias               = "us_east_1"
  region              = "us-east-1"
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = local.tags
  }
}
