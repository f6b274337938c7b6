resource "aws_cloudwatch_metric_alarm" "tasks" {
  for_each            = var.tasks.service_names
  alarm_name          = "${local.name}-${each.key}-tasks"
  alarm_description   = "Service ${each.value} has had fewer tasks than it wants for ten minutes. Look at its events and stopped tasks (ECS, cluster ${var.tasks.cluster_name}) and at log group ${var.tasks.log_group_names[each.key]}: a secret without a value and an image that cannot be pulled are the usual reasons. ${local.rollback}"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 10
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.region.arn]
  ok_actions          = [aws_sns_topic.region.arn]

  metric_query {
    id          = "lacking"
    expression  = "desired - running"
    label       = "Tasks that lack"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { desired = "DesiredTaskCount", running = "RunningTaskCount" }

    content {
      id = metric_query.key

      metric {
        namespace   = "ECS/ContainerInsights"
        metric_name = metric_query.value
        dimensions  = { ClusterName = var.tasks.cluster_name, ServiceName = each.value }
        stat        = "Minimum"
        period      = 60
      }
    }
  }
}
