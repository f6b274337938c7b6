# What ansible/site_local_trust.yml has to know of a host here, whatever the trust; the rest is group_vars/trust.yml's.
locals {
  hub = {
    host = split(":", split("/", trimprefix(var.hub_url, "https://"))[0])[0]
    port = try(tonumber(split(":", split("/", trimprefix(var.hub_url, "https://"))[0])[1]), 443)
  }
  fl = { host = split(":", var.fl_server)[0], port = tonumber(split(":", var.fl_server)[1]) }

  inventory = {
    trust = {
      hosts = {
        "${var.project}-${var.environment}" = merge(module.host.firewall, {
          ansible_host            = module.host.instance_id
          ansible_user            = module.host.user
          ansible_ssh_common_args = module.host.ssh_arguments
          ansible_become_method   = "ansible.builtin.sudo"

          flip_preflight_hub_url    = var.hub_url
          flip_preflight_fl_server  = var.fl_server
          flip_preflight_gpu        = true
          flip_preflight_memory_gib = floor(var.memory_gb * 0.9) # of what the type has, the system keeps some

          flip_base_ntp_servers = module.host.firewall.flip_firewall_ntp

          flip_firewall_outbound = concat(module.host.outbound, var.firewall_outbound)
          flip_firewall_inbound  = flatten([for door in values(var.ingress) : [for cidr in sort(tolist(door.cidrs)) : { from = cidr, port = door.port }]])
        })
      }
    }
  }
}

output "inventory" {
  description = "Inventory for ansible/site_local_trust.yml: `tofu output -raw inventory` into a file, group_vars/trust.yml beside it."
  value       = yamlencode(local.inventory)

  precondition {
    condition     = length(setsubtract([local.hub.port, local.fl.port], var.egress_ports)) == 0
    error_message = "egress_ports lacks the hub's port ${local.hub.port} or the FL server's ${local.fl.port}: add it, or have the FL server at 443."
  }
}

output "instance_id" {
  description = "Id of the host, for `aws ssm start-session --target`."
  value       = module.host.instance_id
}

output "instance_type" {
  description = "The type that was chosen."
  value       = module.gpu_types.instance_type
}

output "disposable" {
  description = "Whether `flipctl hub destroy` may take the data along."
  value       = var.disposable
}
