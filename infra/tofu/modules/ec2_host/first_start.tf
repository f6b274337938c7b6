# What a host needs until Ansible can reach it, and no more; cloud-init does it once.
locals {
  first_start = {
    ssh_authorized_keys = sort(tolist(var.operator_keys))
    write_files = [
      for place, file in {
        "/usr/local/sbin/flip-data-volume"                    = { name = "flip-data-volume", mode = "0755" }
        "/usr/local/sbin/flip-session-manager"                = { name = "flip-session-manager", mode = "0755" }
        "/etc/systemd/system/docker.service.d/flip-data.conf" = { name = "docker-needs-data.conf", mode = "0644" }
      } : { path = place, permissions = file.mode, content = file("${path.module}/files/${file.name}") }
    ]
    # By the volume's id: which /dev/nvmeN it is differs from start to start.
    runcmd = [
      ["/usr/local/sbin/flip-session-manager", var.region],
      ["/usr/local/sbin/flip-data-volume", "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${replace(aws_ebs_volume.data.id, "-", "")}"],
    ]
  }
  user_data = "#cloud-config\n${jsonencode(local.first_start)}\n"
}
