resource "aws_service_discovery_private_dns_namespace" "this" {
  name        = local.namespace
  description = "Hub and FL nets of ${local.name}, for each other"
  vpc         = var.vpc_id
}

resource "aws_service_discovery_service" "task" {
  for_each = local.tasks
  name     = each.key

  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.this.id
    routing_policy = "MULTIVALUE"

    dns_records {
      type = "A"
      ttl  = 10
    }
  }

  # ECS says which tasks are healthy.
  health_check_custom_config {
    failure_threshold = 1
  }
}
