resource "aws_ecs_task_definition" "net" {
  for_each                 = var.nets
  family                   = local.tasks[each.key]
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = each.value.cpu
  memory                   = each.value.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task[each.key].arn
  skip_destroy             = !var.disposable # ECS rolls back only to a revision that is still registered

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }

  ephemeral_storage {
    size_in_gib = 21
  }

  dynamic "volume" {
    for_each = toset(["config", "tmp"])

    content {
      name = volume.value
    }
  }

  volume {
    name = "data"

    efs_volume_configuration {
      file_system_id     = var.efs.id
      transit_encryption = "ENABLED"

      authorization_config {
        access_point_id = var.efs_access_points[each.key].id
        iam             = "ENABLED"
      }
    }
  }

  container_definitions = jsonencode([
    merge(local.folders, {
      command          = ["10001:10001", "/tmp"]
      mountPoints      = [local.mounts.tmp]
      logConfiguration = local.log_configuration[each.key]["folders"]
    }),
    merge(local.config, {
      command = [
        "fetch-config", "--to", "/config", "--owner", "10001",
        "--setting", "INTERNAL_SERVICE_KEY=${var.secret_arns["internal-service-key"]}",
        "--setting", "FL_API_KEY=${var.secret_arns["fl-api-key"]}",
        "--file", "server.crt=${var.secret_arns["fl-${each.key}-certificate"]}",
        "--file", "server.key=${var.secret_arns["fl-${each.key}-key"]}",
      ]
      logConfiguration = local.log_configuration[each.key]["config"]
    }),
    merge(local.service, {
      name    = "fl-server"
      image   = var.images.fl_server
      command = ["--host", "0.0.0.0", "--env-file", "/config/service.env"]
      environment = [
        for name, value in merge(each.value.settings, {
          FLIP_API_INTERNAL_URL = local.addresses.hub
          FL_SERVER_CERT_FILE   = "/config/server.crt"
          FL_SERVER_HOST        = "0.0.0.0"
          FL_SERVER_KEY_FILE    = "/config/server.key"
          FL_SERVER_PORT        = "9092"
          FL_STATE_DIR          = "/data"
        }) : { name = name, value = value }
      ]
      mountPoints      = [local.mounts.config_read, local.mounts.data, local.mounts.tmp]
      portMappings     = [for port in [8040, 9092] : { containerPort = port, hostPort = port, protocol = "tcp" }]
      logConfiguration = local.log_configuration[each.key]["fl-server"]
      healthCheck = {
        command = ["CMD", "flip-health", "http://127.0.0.1:8040/health"], interval = 10, timeout = 5, retries = 3, startPeriod = 60
      }
    }),
  ])
}

resource "aws_ecs_service" "net" {
  #checkov:skip=CKV_AWS_332:1.4.0 is the latest for Linux; the next is tried before it is used

  for_each                           = var.nets
  name                               = "fl-${each.key}"
  cluster                            = aws_ecs_cluster.this.arn
  task_definition                    = aws_ecs_task_definition.net[each.key].arn
  desired_count                      = 1
  launch_type                        = "FARGATE"
  platform_version                   = "1.4.0"
  availability_zone_rebalancing      = "DISABLED" # it would start a second task first
  deployment_minimum_healthy_percent = 0          # two SuperLinks must not share a state: the old task ends before the new one starts
  deployment_maximum_percent         = 100
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
    security_groups  = [aws_security_group.task["fl"].id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = var.target_group_arns.nets[each.key]
    container_name   = "fl-server"
    container_port   = 9092
  }

  service_registries {
    registry_arn = aws_service_discovery_service.task[each.key].arn
  }

  # A task that starts before these are there fails, and the deployment with it.
  depends_on = [
    aws_iam_role_policy.execution,
    aws_iam_role_policy.net,
    aws_iam_role_policy.secrets,
    aws_vpc_security_group_egress_rule.call,
    aws_vpc_security_group_egress_rule.https,
    aws_vpc_security_group_egress_rule.s3,
    aws_vpc_security_group_ingress_rule.call,
  ]
}
