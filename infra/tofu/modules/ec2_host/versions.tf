terraform {
  required_version = ">= 1.10.0, < 2.0.0" # 1.10 brought use_lockfile to OpenTofu and Terraform

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}
