locals {
  # What each task's role may read of the secrets.
  secrets = merge(
    { hub = [var.secret_arns["internal-service-key-hash"], var.secret_arns["fl-api-key"], var.database.secret_arn] },
    {
      for net in keys(var.nets) : net => [
        for name in ["internal-service-key", "fl-api-key", "fl-${net}-certificate", "fl-${net}-key"] : var.secret_arns[name]
      ]
    },
  )
}

resource "aws_iam_role" "task" {
  for_each             = local.tasks
  name                 = "${each.value}-task"
  description          = "What ${each.key == "hub" ? "the hub" : "FL net ${each.key}"} of ${local.name} may do"
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "secrets" {
  for_each = local.tasks
  name     = "secrets"
  role     = aws_iam_role.task[each.key].id
  policy   = data.aws_iam_policy_document.secrets[each.key].json
}

data "aws_iam_policy_document" "secrets" {
  for_each = local.tasks

  statement {
    sid       = "ReadSecrets"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = local.secrets[each.key]
  }

  statement {
    sid       = "OpenSecrets"
    actions   = ["kms:Decrypt"]
    resources = [var.key_arns.data]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["secretsmanager.${var.region}.amazonaws.com"]
    }
  }
}

# docs/hub-aws-services.md says what the hub needs, and why.
data "aws_iam_policy_document" "hub" {
  statement {
    sid       = "ListFiles"
    actions   = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
    resources = [var.files_bucket.arn]
  }

  statement {
    sid       = "KeepFiles"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = ["${var.files_bucket.arn}/${var.files_prefix}/models/*"]
  }

  statement {
    sid       = "ReadDatabaseAuthorities"
    actions   = ["s3:GetObject"]
    resources = ["arn:${local.aws}:s3:::${var.database_ca.bucket}/${var.database_ca.key}"]
  }

  statement {
    sid       = "EncryptFiles"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = [var.key_arns.data]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.region}.amazonaws.com"]
    }
  }

  statement {
    sid       = "WrapMasterKey"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = [var.key_arns.master]

    condition {
      test     = "StringEquals"
      variable = "kms:EncryptionContext:purpose"
      values   = ["flip-hub-master-key"]
    }
  }
}

resource "aws_iam_role_policy" "hub" {
  name   = "files-and-master-key"
  role   = aws_iam_role.task["hub"].id
  policy = data.aws_iam_policy_document.hub.json
}

data "aws_iam_policy_document" "net" {
  for_each = var.nets

  statement {
    sid       = "MountItsFolder"
    actions   = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
    resources = [var.efs.arn]

    condition {
      test     = "StringEquals"
      variable = "elasticfilesystem:AccessPointArn"
      values   = [var.efs_access_points[each.key].arn]
    }
  }
}

resource "aws_iam_role_policy" "net" {
  for_each = var.nets
  name     = "state"
  role     = aws_iam_role.task[each.key].id
  policy   = data.aws_iam_policy_document.net[each.key].json
}

data "aws_iam_policy_document" "shell" {
  # AWS knows no resource for these.
  statement {
    sid = "OpenShells"
    actions = [
      "logs:DescribeLogGroups",
      "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "RecordShells"
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["arn:${local.aws}:logs:${var.region}:${var.account_id}:log-group:/${local.name}/shell:*"]
  }

  statement {
    sid       = "EncryptShells"
    actions   = ["kms:Decrypt"]
    resources = [var.key_arns.data]
  }
}

resource "aws_iam_role_policy" "shell" {
  for_each = var.execute_command ? local.tasks : {}
  name     = "shell"
  role     = aws_iam_role.task[each.key].id
  policy   = data.aws_iam_policy_document.shell.json
}
