locals {
  # Route 53 asks from the internet: it can look at what the world may reach. It looks at no certificate; the host does, and
  # says at /flip-health that it is unwell while a service is down, a renewal failed, or a certificate ends within 20 days.
  checks = { for name, check in {
    dashboard = { host = var.domain, port = 443, type = "HTTPS", path = "/flip-health" }
    fl        = { host = var.server_name, port = var.fl_port, type = "TCP", path = null }
  } : name => check if contains(local.doors[name].cidrs, "0.0.0.0/0") }

  # Their measures are in us-east-1, so the alarms and the topic these tell are there: one more where the host is elsewhere.
  edge       = toset(var.region == "us-east-1" ? [] : ["us-east-1"])
  edge_topic = one(concat([for topic in module.edge_alarm_topic : topic.arn], var.region == "us-east-1" ? [module.alarm_topic.arn] : []))
}

resource "aws_route53_health_check" "host" {
  for_each          = local.checks
  fqdn              = each.value.host
  port              = each.value.port
  type              = each.value.type
  resource_path     = each.value.path
  enable_sni        = each.value.type == "HTTPS" ? true : null
  request_interval  = 30
  failure_threshold = 3

  tags = { Name = "${var.project}-${var.environment}-${each.key}" }
}

module "edge_keys" {
  for_each    = local.edge
  source      = "../../modules/keys"
  providers   = { aws = aws.us_east_1 }
  project     = var.project
  environment = var.environment
  account_id  = var.account_id
  region      = each.key
  only        = ["logs"]
}

module "edge_alarm_topic" {
  for_each    = local.edge
  source      = "../../modules/alarm_topic"
  providers   = { aws = aws.us_east_1 }
  project     = var.project
  environment = var.environment
  account_id  = var.account_id
  region      = each.key
  key_arn     = module.edge_keys[each.key].logs_arn
  emails      = var.emails
}

resource "aws_cloudwatch_metric_alarm" "reached" {
  provider            = aws.us_east_1
  for_each            = aws_route53_health_check.host
  alarm_name          = "${var.project}-${var.environment}-${each.key}-reached"
  alarm_description   = "${each.value.fqdn} is not well at port ${each.value.port}: not reached, a service is down, or its certificate is not renewed. On the host: systemctl --failed, and the journal."
  namespace           = "AWS/Route53"
  metric_name         = "HealthCheckStatus"
  dimensions          = { HealthCheckId = each.value.id }
  statistic           = "Minimum"
  period              = 60
  evaluation_periods  = 3
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = [local.edge_topic]
  ok_actions          = [local.edge_topic]
}
