# Each description says what to do first; `missing` is what no data means.
locals {
  rollback = "If it began with an upgrade, apply the former digests."

  alarms = merge(
    {
      hub-errors = {
        metric = "AWS/ApplicationELB HTTPCode_Target_5XX_Count", dimensions = local.hub_target, statistic = "Sum", above = 10, period = 300, periods = 2, missing = "notBreaching"
        text   = "The hub answers with errors of its own. Look for level ERROR in log group ${var.tasks.log_group_names["hub"]}; if it cannot reach the database, look at the database's alarms. ${local.rollback}"
      }
      hub-unanswered = {
        metric = "AWS/ApplicationELB HTTPCode_ELB_5XX_Count", dimensions = { LoadBalancer = var.hub_front.alb_arn_suffix }, statistic = "Sum", above = 10, period = 300, periods = 2, missing = "notBreaching"
        text   = "The load balancer answers for the hub: no task, or none in time. Look at the service's events (ECS, cluster ${var.tasks.cluster_name}, service hub) and at its load. ${local.rollback}"
      }
      hub-no-target = {
        metric = "AWS/ApplicationELB HealthyHostCount", dimensions = local.hub_target, statistic = "Minimum", below = 1, period = 60, periods = 3, missing = "breaching"
        text   = "No task of the hub is healthy: nobody can sign in, trusts get no work. Look at why tasks stopped (ECS, cluster ${var.tasks.cluster_name}, service hub, stopped tasks) and at log group ${var.tasks.log_group_names["hub"]}. ${local.rollback}"
      }
      database-cpu = {
        metric = "AWS/RDS CPUUtilization", dimensions = local.database, statistic = "Average", above = 80, period = 300, periods = 3, missing = "breaching"
        text   = "The database has been busy for 15 minutes. Look at its Performance Insights for the statement that costs most; a larger instance class is one setting and a restart."
      }
      database-storage = {
        metric = "AWS/RDS FreeStorageSpace", dimensions = local.database, statistic = "Minimum", below = floor(var.database.storage_gb * 107374182.4), period = 300, periods = 3, missing = "breaching"
        text   = "Less than a tenth of the database's storage is free. It grows by itself up to storage.max_gb: raise that now if it is reached; a full database stops the hub."
      }
      database-connections = {
        metric = "AWS/RDS DatabaseConnections", dimensions = local.database, statistic = "Maximum", above = floor(var.database.max_connections * 0.8), period = 300, periods = 3, missing = "notBreaching"
        text   = "The database has used four fifths of its connections. See in pg_stat_activity who holds them; fewer tasks of the hub (hub.max) or a larger instance class help."
      }
      database-memory = {
        metric = "AWS/RDS FreeableMemory", dimensions = local.database, statistic = "Average", below = 134217728, period = 300, periods = 3, missing = "notBreaching"
        text   = "The database has less than 128 MiB of memory left. Choose a larger instance class before it restarts by itself."
      }
      fl-files-busy = {
        metric = "AWS/EFS PercentIOLimit", dimensions = { FileSystemId = var.efs_id }, statistic = "Average", above = 90, period = 300, periods = 3, missing = "notBreaching"
        text   = "The FL nets' file system is at its limit of operations: rounds take longer. See which net runs jobs, and let fewer run at once."
      }
      certificate-origin = {
        metric = "AWS/CertificateManager DaysToExpiry", dimensions = { CertificateArn = var.certificates.origin }, statistic = "Minimum", below = 21, period = 86400, periods = 1, missing = "missing"
        text   = "The load balancer's certificate ends in less than three weeks, and ACM has not renewed it. Its validation record has gone from DNS: apply the stack, which puts it back."
      }
    },
    {
      for net, target in local.fl_targets : "fl-${net}-no-target" => {
        metric = "AWS/NetworkELB HealthyHostCount", dimensions = target, statistic = "Minimum", below = 1, period = 60, periods = 5, missing = "breaching"
        text   = "FL net ${net} takes no connection of a trust; its running job waits. Look at why its task stopped (ECS, cluster ${var.tasks.cluster_name}, service ${lookup(var.tasks.service_names, net, net)}). A certificate that has ended stops it, too: see its log group. ${local.rollback}"
      }
    },
  )

  edge_alarms = {
    edge-errors = {
      metric = "AWS/CloudFront 5xxErrorRate", dimensions = local.distribution, statistic = "Average", above = 5, period = 300, periods = 3, missing = "notBreaching"
      text   = "More than one in twenty requests fails at CloudFront. If hub-no-target or hub-errors is in alarm, go there; if not, look at CloudFront's origin and the load balancer's certificate."
    }
    edge-blocked = {
      metric = "AWS/WAFV2 BlockedRequests", dimensions = local.web_acl, statistic = "Sum", above = var.waf_blocked_limit, period = 300, periods = 2, missing = "notBreaching"
      text   = "The web ACL blocks far more than it does on other days: an attack, or a rule that now hits trusts. See in its sampled requests which rule and whose address; if they are trusts', set that rule to count."
    }
    certificate-edge = {
      metric = "AWS/CertificateManager DaysToExpiry", dimensions = { CertificateArn = var.certificates.edge }, statistic = "Minimum", below = 21, period = 86400, periods = 1, missing = "missing"
      text   = "CloudFront's certificate ends in less than three weeks, and ACM has not renewed it. Its validation record has gone from DNS: apply the stack, which puts it back."
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "region" {
  for_each            = local.alarms
  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.text
  namespace           = split(" ", each.value.metric)[0]
  metric_name         = split(" ", each.value.metric)[1]
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = can(each.value.above) ? "GreaterThanThreshold" : "LessThanThreshold"
  threshold           = try(each.value.above, each.value.below)
  period              = each.value.period
  evaluation_periods  = each.value.periods
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.region.arn]
  ok_actions          = [aws_sns_topic.region.arn]
}

resource "aws_cloudwatch_metric_alarm" "edge" {
  provider            = aws.us_east_1
  for_each            = local.edge_alarms
  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.text
  namespace           = split(" ", each.value.metric)[0]
  metric_name         = split(" ", each.value.metric)[1]
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = can(each.value.above) ? "GreaterThanThreshold" : "LessThanThreshold"
  threshold           = try(each.value.above, each.value.below)
  period              = each.value.period
  evaluation_periods  = each.value.periods
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.edge.arn]
  ok_actions          = [aws_sns_topic.edge.arn]
}
