locals {
  name = "${var.project}-${var.environment}"
  iam  = "arn:${data.aws_partition.current.partition}:iam::${var.account_id}:root"

  all = {
    data = {
      description = "What ${local.name} stores: database, files, file systems, secrets, backups"
      policy      = data.aws_iam_policy_document.iam_decides.json
    }
    logs = {
      description = "Logs and alarms of ${local.name}"
      policy      = data.aws_iam_policy_document.logs.json
    }
    master = {
      description = "Wraps the key that wraps all others of ${local.name}'s hub; without it nobody opens them"
      policy      = data.aws_iam_policy_document.master.json
    }
  }
}

data "aws_partition" "current" {}

# Without a key, what it encrypted is lost, backups included: 30 days, the longest that AWS gives, to think again.
resource "aws_kms_key" "hub" {
  for_each                = { for name, key in local.all : name => key if contains(var.only, name) }
  description             = each.value.description
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = each.value.policy
}

resource "aws_kms_alias" "hub" {
  for_each      = aws_kms_key.hub
  name          = "alias/${local.name}-${each.key}"
  target_key_id = each.value.key_id
}
