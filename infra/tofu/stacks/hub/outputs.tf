output "url" {
  description = "Where people and trusts find the hub; the API is below /api."
  value       = module.edge.url
}

output "name" {
  description = "What the names of all resources begin with."
  value       = "${var.project}-${var.environment}"
}

output "region" {
  description = "Region of the hub."
  value       = var.region
}

output "nets" {
  description = "Host name and port of each net's FL server."
  value       = { for name, net in var.nets : name => { host = net.host, port = net.port } }
}

output "sign_in" {
  description = "Cognito's user pool, its client and the page where people sign in."
  value = {
    user_pool_id = module.identity.user_pool_id
    client_id    = module.identity.client_id
    url          = module.identity.sign_in_url
  }
}

output "secret_arns" {
  description = "Secrets by name, which `flipctl hub secrets` fills; none of their values is in the state."
  value       = module.secrets.arns
}

output "certificates" {
  description = "Certificates of the front door (us-east-1) and of the hub behind it."
  value       = module.dns.certificates
}

output "target_groups" {
  description = "Where the load balancers send requests: the hub, and each net's FL server."
  value = {
    hub  = module.edge.target_group_arn
    nets = module.fl_ingress.target_group_arns
  }
}

output "cluster" {
  description = "ECS cluster and its services by name: the hub, and each net."
  value = {
    name     = module.compute.cluster_name
    services = module.compute.service_names
  }
}

output "database" {
  description = "RDS instance of the hub's database."
  value       = module.database.instance_id
}

output "dashboard" {
  description = "CloudWatch dashboard of the hub."
  value       = module.observability.dashboard_name
}

output "disposable" {
  description = "Whether `flipctl hub destroy` may take the data along."
  value       = var.disposable
}
