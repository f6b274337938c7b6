locals {
  iam      = "arn:${data.aws_partition.current.partition}:iam::${var.account_id}"
  boundary = "${local.iam}:policy/${local.name}-boundary"
}

# A boundary grants nothing: it is the most that the roles, and the roles they make, can ever be granted.
data "aws_iam_policy_document" "boundary" {
  #checkov:skip=CKV_AWS_1:A boundary grants nothing
  #checkov:skip=CKV_AWS_49:A boundary grants nothing
  #checkov:skip=CKV_AWS_107:A boundary grants nothing
  #checkov:skip=CKV_AWS_108:A boundary grants nothing
  #checkov:skip=CKV_AWS_109:A boundary grants nothing
  #checkov:skip=CKV_AWS_110:A boundary grants nothing
  #checkov:skip=CKV_AWS_111:A boundary grants nothing
  #checkov:skip=CKV_AWS_356:A boundary grants nothing

  statement {
    sid       = "NoMoreThanGranted"
    actions   = ["*"]
    resources = ["*"]
  }

  statement {
    sid    = "NoContents"
    effect = "Deny"
    actions = [
      "dynamodb:BatchGetItem",
      "dynamodb:GetItem",
      "dynamodb:PartiQL*",
      "dynamodb:Query",
      "dynamodb:Scan",
      "ec2:GetPasswordData",
      "ecs:ExecuteCommand",
      "logs:FilterLogEvents",
      "logs:GetLogEvents",
      "logs:StartQuery",
      "rds-data:*",
      "rds-db:connect",
      "rds:DownloadDBLogFilePortion",
      "secretsmanager:BatchGetSecretValue",
      "secretsmanager:GetSecretValue",
      "ssm:SendCommand",
      "ssm:StartSession",
    ]
    resources = ["*"]
  }

  statement {
    sid           = "NoObjectsButStates"
    effect        = "Deny"
    actions       = ["s3:DeleteObject*", "s3:GetObject*", "s3:PutObject*"]
    not_resources = ["${local.states}/*"]
  }

  statement {
    sid    = "NoOtherWayIn"
    effect = "Deny"
    actions = [
      "iam:AddClientIDToOpenIDConnectProvider",
      "iam:CreateAccessKey",
      "iam:CreateLoginProfile",
      "iam:CreateOpenIDConnectProvider",
      "iam:CreateSAMLProvider",
      "iam:CreateUser",
      "iam:DeleteRolePermissionsBoundary",
      "iam:UpdateLoginProfile",
      "iam:UpdateSAMLProvider",
    ]
    resources = ["*"]
  }

  statement {
    sid    = "RolesStayWithinTheBoundary"
    effect = "Deny"
    actions = [
      "iam:AttachRolePolicy",
      "iam:CreateRole",
      "iam:PutRolePermissionsBoundary",
      "iam:PutRolePolicy",
    ]
    resources = ["*"]

    condition {
      test     = "StringNotEquals"
      variable = "iam:PermissionsBoundary"
      values   = [local.boundary]
    }
  }

  # Its own roles, and what they are granted, are changed by the bootstrap alone.
  statement {
    sid    = "NotItsOwnRights"
    effect = "Deny"
    actions = [
      "iam:AttachRolePolicy",
      "iam:CreatePolicyVersion",
      "iam:DeletePolicy",
      "iam:DeletePolicyVersion",
      "iam:DeleteRole",
      "iam:DeleteRolePolicy",
      "iam:DetachRolePolicy",
      "iam:PutRolePolicy",
      "iam:SetDefaultPolicyVersion",
      "iam:UpdateAssumeRolePolicy",
      "iam:UpdateRole",
    ]
    resources = concat([local.boundary], tolist(var.apply_policy_arns), [for name in local.roles : "${local.iam}:role/${name}"])
  }
}

resource "aws_iam_policy" "boundary" {
  name        = "${local.name}-boundary"
  description = "The most that CI of ${var.project}-${var.environment}, and roles it makes, can do"
  policy      = data.aws_iam_policy_document.boundary.json
}
