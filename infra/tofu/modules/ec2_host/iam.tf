data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "host" {
  name                 = local.name
  description          = "What the host ${local.name} may do"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  permissions_boundary = var.permissions_boundary_arn
}

# Sessions and nothing else of Systems Manager, whose own policy would let the host read every parameter of the account.
# AWS documents no resource for these: they speak of the host itself.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html
data "aws_iam_policy_document" "sessions" {
  #checkov:skip=CKV_AWS_111:AWS documents no resource for the channels of a session
  #checkov:skip=CKV_AWS_356:AWS documents no resource for the channels of a session

  statement {
    sid       = "Sessions"
    resources = ["*"]
    actions = [
      "ssm:UpdateInstanceInformation",
      "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]
  }
}

resource "aws_iam_role_policy" "host" {
  for_each = merge({ sessions = data.aws_iam_policy_document.sessions.json }, var.policies)
  name     = each.key
  role     = aws_iam_role.host.id
  policy   = each.value
}

resource "aws_iam_instance_profile" "host" {
  name = local.name
  role = aws_iam_role.host.name
}
