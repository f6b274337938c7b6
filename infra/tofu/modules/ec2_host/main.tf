locals {
  name   = "${var.project}-${var.environment}-${var.name}"
  ami_id = startswith(var.ami, "/") ? data.aws_ssm_parameter.ami[var.ami].insecure_value : var.ami
}

# What is public anyway: which image its makers published last.
data "aws_ssm_parameter" "ami" {
  for_each = toset([for name in [var.ami] : name if startswith(name, "/")])
  name     = each.key
}
