resource "aws_efs_file_system" "fl" {
  #checkov:skip=CKV2_AWS_18:Module backup takes it in, by its ARN

  creation_token  = "${local.name}-fl"
  encrypted       = true
  kms_key_id      = var.key_arn
  throughput_mode = "elastic"

  lifecycle_policy {
    transition_to_ia = "AFTER_30_DAYS"
  }

  lifecycle_policy {
    transition_to_primary_storage_class = "AFTER_1_ACCESS"
  }

  tags = { Name = "${local.name}-fl" }
}

data "aws_iam_policy_document" "file_system" {
  # Who may mount say the tasks' roles. Nobody is root: no one is given ClientRootAccess.
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite", "elasticfilesystem:ClientRootAccess"]
    resources = [aws_efs_file_system.fl.arn]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  statement {
    sid       = "ByAccessPointOnly"
    effect    = "Deny"
    actions   = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite", "elasticfilesystem:ClientRootAccess"]
    resources = [aws_efs_file_system.fl.arn]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "Null"
      variable = "elasticfilesystem:AccessPointArn"
      values   = ["true"]
    }
  }
}

resource "aws_efs_file_system_policy" "fl" {
  file_system_id = aws_efs_file_system.fl.id
  policy         = data.aws_iam_policy_document.file_system.json
}

# The user of the image fl-server.
resource "aws_efs_access_point" "net" {
  for_each       = var.nets
  file_system_id = aws_efs_file_system.fl.id

  posix_user {
    uid = 10001
    gid = 10001
  }

  root_directory {
    path = "/${each.key}"

    creation_info {
      owner_uid   = 10001
      owner_gid   = 10001
      permissions = "0700"
    }
  }

  tags = { Name = "${local.name}-${each.key}" }
}

# Module compute lets its tasks in.
resource "aws_security_group" "efs" {
  name        = "${local.name}-efs"
  description = "File system of FL workspaces"
  vpc_id      = var.vpc_id
  tags        = { Name = "${local.name}-efs" }
}

resource "aws_efs_mount_target" "zone" {
  for_each        = var.subnet_ids
  file_system_id  = aws_efs_file_system.fl.id
  subnet_id       = each.value
  security_groups = [aws_security_group.efs.id]
}
