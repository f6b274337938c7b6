# What ansible/site_dashboard.yml has to know of the host.
locals {
  inventory = {
    dashboard = {
      hosts = {
        "${var.project}-${var.environment}" = merge(module.host.firewall, {
          ansible_host            = module.host.instance_id
          ansible_user            = module.host.user
          ansible_ssh_common_args = module.host.ssh_arguments
          ansible_become_method   = "ansible.builtin.sudo"

          flip_dashboard_domain         = var.domain
          flip_dashboard_server_name    = var.server_name
          flip_dashboard_fl_port        = var.fl_port
          flip_dashboard_admin_port     = var.admin_port
          flip_dashboard_admin_email    = var.admin_email
          flip_dashboard_acme_directory = var.acme_directory
          flip_dashboard_acme_challenge = "dns-01-route53"
          flip_dashboard_aws_region     = var.region

          flip_preflight_disk_gib   = { "/opt/flip" = 20, "/var/lib/docker" = 10 }
          flip_preflight_memory_gib = 4

          flip_base_ntp_servers = module.host.firewall.flip_firewall_ntp

          flip_firewall_outbound = concat(
            module.host.outbound,
            [
              { to = "route53.amazonaws.com", port = 443 },
              { to = split("/", trimprefix(var.acme_directory, "https://"))[0], port = 443 },
            ],
            var.firewall_outbound,
          )
          flip_firewall_inbound = flatten([for name in sort(keys(local.doors)) : [
            for cidr in sort(tolist(local.doors[name].cidrs)) : { from = cidr, port = local.doors[name].port }
          ]])
        })
      }
    }
  }
}

output "inventory" {
  description = "Inventory for ansible/site_dashboard.yml: `tofu output -raw inventory` into a file."
  value       = yamlencode(local.inventory)
}

output "url" {
  description = "Where people find the dashboard."
  value       = "https://${var.domain}"
}

output "fl_server" {
  description = "What sites dial."
  value       = "${var.server_name}:${var.fl_port}"
}

output "address" {
  description = "The host's elastic address, which stays."
  value       = module.host.address
}

output "instance_id" {
  description = "Id of the host, for `aws ssm start-session --target`."
  value       = module.host.instance_id
}

output "disposable" {
  description = "Whether `flipctl hub destroy` may take the data along."
  value       = var.disposable
}
