resource "aws_instance" "host" {
  ami                     = local.ami_id
  instance_type           = var.instance_type
  subnet_id               = var.subnet.id
  vpc_security_group_ids  = [aws_security_group.host.id]
  iam_instance_profile    = aws_iam_instance_profile.host.name
  ebs_optimized           = true
  monitoring              = true
  disable_api_termination = var.protected && !var.disposable
  user_data               = local.user_data

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1 # the host's services get its credentials, its containers do not
  }

  maintenance_options {
    auto_recovery = "default"
  }

  root_block_device {
    volume_type = "gp3"
    volume_size = var.root_gb
    encrypted   = true
    kms_key_id  = var.key_arn

    tags = { Name = "${local.name}-root" }
  }

  tags = { Name = local.name }

  # Neither a newer image nor another first start replaces a host: README.md says how one is replaced.
  lifecycle {
    ignore_changes = [ami, user_data]
  }
}

resource "aws_eip" "host" {
  for_each = toset(var.public ? [local.name] : [])
  domain   = "vpc"

  tags = { Name = each.key }
}

resource "aws_eip_association" "host" {
  for_each      = aws_eip.host
  allocation_id = each.value.allocation_id
  instance_id   = aws_instance.host.id
}
