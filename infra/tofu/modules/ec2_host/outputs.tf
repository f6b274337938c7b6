output "instance_id" {
  description = "Id of the instance, by which Session Manager reaches it."
  value       = aws_instance.host.id
}

output "address" {
  description = "Its elastic address; null where it has none."
  value       = one([for address in aws_eip.host : address.public_ip])
}

output "volume_arn" {
  description = "ARN of the data volume, for backups."
  value       = aws_ebs_volume.data.arn
}

output "user" {
  description = "Who signs in: the user that the image's makers put there."
  value       = var.user
}

output "ssh_arguments" {
  description = "Options of ssh for the way through Session Manager, as Ansible's ansible_ssh_common_args."
  value       = "-o StrictHostKeyChecking=accept-new -o ProxyCommand=\"aws ssm start-session --region ${var.region} --target %h --document-name AWS-StartSSHSession --parameters portNumber=%p\""
}

output "firewall" {
  description = "Variables of the role flip_firewall that hold for any host here: sessions arrive from the host itself, names and time come from AWS."
  value = {
    flip_firewall_ssh_from = ["127.0.0.0/8", "::1/128"]
    flip_firewall_dns      = ["169.254.169.253"]
    flip_firewall_ntp      = ["169.254.169.123"]
  }
}

output "outbound" {
  description = "What the host's firewall must let through for sessions, as flip_firewall_outbound has it."
  value = concat(
    [{ to = "169.254.169.254", port = 80 }],
    [for service in ["ssm", "ssmmessages", "ec2messages"] : { to = "${service}.${var.region}.amazonaws.com", port = 443 }],
  )
}
