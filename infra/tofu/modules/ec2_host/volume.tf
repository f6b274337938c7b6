# It outlives the instance: another one gets it attached, and finds its file system by the label.
resource "aws_ebs_volume" "data" {
  #checkov:skip=CKV2_AWS_9:The stacks give its ARN to module backup, which checkov does not follow

  availability_zone = var.subnet.zone
  type              = "gp3"
  size              = var.data_gb
  encrypted         = true
  kms_key_id        = var.key_arn
  final_snapshot    = !var.disposable

  tags = { Name = "${local.name}-data" }
}

resource "aws_volume_attachment" "data" {
  device_name                    = "/dev/sdf"
  instance_id                    = aws_instance.host.id
  volume_id                      = aws_ebs_volume.data.id
  stop_instance_before_detaching = true
}
