locals {
  # Uploads lie on the task's disk until the bucket has them; 10 GiB are the image's and everything else's.
  result_bytes = tonumber(lookup(var.hub.settings, "HUB_RESULT_MAX_BYTES", "20000000000"))
  hub_disk     = max(21, 10 + ceil(local.result_bytes * var.hub.results_at_once / 1073741824))

  hub_settings = merge(
    var.hub.settings,
    {
      AWS_DEFAULT_REGION = var.region
      DATABASE_SECRET    = var.database.secret_arn
      DATABASE_URL       = "postgresql://${var.database.address}:${var.database.port}/${var.database.name}?sslmode=verify-full&sslrootcert=/config/rds-ca.pem"
      FL_NETS            = jsonencode([for net in keys(var.nets) : { name = net, backend = "flower", url = local.addresses.nets[net] }])
      HUB_DATA_DIR       = "/data"
      HUB_FILES_BUCKET   = var.files_bucket.name
      HUB_FILES_PREFIX   = var.files_prefix
      HUB_MASTER_KMS_KEY = var.key_arns.master
    },
    var.oidc == null ? {} : { HUB_OIDC_ISSUER = var.oidc.issuer, HUB_OIDC_CLIENT_ID = var.oidc.client_id },
  )
}

resource "aws_ecs_task_definition" "hub" {
  family                   = local.tasks["hub"]
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.hub.cpu
  memory                   = var.hub.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task["hub"].arn
  skip_destroy             = !var.disposable # ECS rolls back only to a revision that is still registered

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }

  ephemeral_storage {
    size_in_gib = local.hub_disk
  }

  dynamic "volume" {
    for_each = toset(["config", "data", "tmp"])

    content {
      name = volume.value
    }
  }

  container_definitions = jsonencode([
    merge(local.folders, {
      command          = ["10001:10001", "/data", "/tmp"]
      mountPoints      = [local.mounts.data, local.mounts.tmp]
      logConfiguration = local.log_configuration["hub"]["folders"]
    }),
    merge(local.config, {
      command = [
        "fetch-config", "--to", "/config", "--owner", "10001",
        "--setting", "INTERNAL_SERVICE_KEY_HASH=${var.secret_arns["internal-service-key-hash"]}",
        "--setting", "FL_API_KEY=${var.secret_arns["fl-api-key"]}",
        "--object", "rds-ca.pem=s3://${var.database_ca.bucket}/${var.database_ca.key}",
      ]
      logConfiguration = local.log_configuration["hub"]["config"]
    }),
    merge(local.service, {
      name  = "hub"
      image = var.images.hub
      command = [
        "serve", "--host", "0.0.0.0", "--internal-host", "0.0.0.0", "--trusted-proxies", var.vpc_cidr, "--env-file", "/config/service.env",
      ]
      environment      = [for name in sort(keys(local.hub_settings)) : { name = name, value = local.hub_settings[name] }]
      mountPoints      = [local.mounts.config_read, local.mounts.data, local.mounts.tmp]
      portMappings     = [for port in [8000, 8050] : { containerPort = port, hostPort = port, protocol = "tcp" }]
      logConfiguration = local.log_configuration["hub"]["hub"]
      healthCheck = {
        command = ["CMD", "flip-health", "http://127.0.0.1:8000/api/health"], interval = 10, timeout = 5, retries = 3, startPeriod = 60
      }
    }),
  ])
}

resource "aws_ecs_service" "hub" {
  #checkov:skip=CKV_AWS_332:1.4.0 is the latest for Linux; the next is tried before it is used

  name                               = "hub"
  cluster                            = aws_ecs_cluster.this.arn
  task_definition                    = aws_ecs_task_definition.hub.arn
  desired_count                      = var.hub.min
  launch_type                        = "FARGATE"
  platform_version                   = "1.4.0"
  availability_zone_rebalancing      = "ENABLED"
  deployment_minimum_healthy_percent = 100 # a new task is healthy before an old one ends
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 180
  enable_execute_command             = var.execute_command
  enable_ecs_managed_tags            = true
  propagate_tags                     = "SERVICE"

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = values(var.subnet_ids)
    security_groups  = [aws_security_group.task["hub"].id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = var.target_group_arns.hub
    container_name   = "hub"
    container_port   = 8000
  }

  service_registries {
    registry_arn = aws_service_discovery_service.task["hub"].arn
  }

  # A task that starts before these are there fails, and the deployment with it.
  depends_on = [
    aws_iam_role_policy.execution,
    aws_iam_role_policy.hub,
    aws_iam_role_policy.secrets,
    aws_vpc_security_group_egress_rule.call,
    aws_vpc_security_group_egress_rule.https,
    aws_vpc_security_group_egress_rule.s3,
    aws_vpc_security_group_ingress_rule.call,
  ]

  lifecycle {
    ignore_changes = [desired_count] # scaling's
  }
}
