locals {
  name = "${var.project}-${var.environment}"
}

data "aws_partition" "current" {}
