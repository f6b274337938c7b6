locals {
  # What a chart draws, as CloudWatch writes it: namespace, metric, and names and values of its dimensions in turn.
  line = {
    for key, alarm in merge(local.alarms, local.edge_alarms) : key => concat(
      split(" ", alarm.metric), flatten([for name, value in alarm.dimensions : [name, value]]), [{ stat = alarm.statistic }]
    )
  }
  tasks = [
    for service in values(var.tasks.service_names) :
    ["ECS/ContainerInsights", "RunningTaskCount", "ClusterName", var.tasks.cluster_name, "ServiceName", service, { stat = "Minimum" }]
  ]
  load = flatten([for metric in ["CPUUtilization", "MemoryUtilization"] : [
    for service in values(var.tasks.service_names) : { draws = ["AWS/ECS", metric, "ClusterName", var.tasks.cluster_name, "ServiceName", service, { stat = "Average" }] }
  ]])
  requests = ["AWS/ApplicationELB", "RequestCount", "LoadBalancer", var.hub_front.alb_arn_suffix, { stat = "Sum" }]
  flows    = [for suffix in values(var.fl_front.nlb_arn_suffixes) : ["AWS/NetworkELB", "ActiveFlowCount", "LoadBalancer", suffix, { stat = "Average" }]]

  charts = [
    { title = "Hub: requests and errors", region = var.region, draws = [local.requests, local.line["hub-errors"], local.line["hub-unanswered"]] },
    { title = "Healthy targets", region = var.region, draws = concat([local.line["hub-no-target"]], [for net in keys(local.fl_targets) : local.line["fl-${net}-no-target"]]) },
    { title = "Trusts' FL connections", region = var.region, draws = local.flows },
    { title = "Tasks that run", region = var.region, draws = local.tasks },
    { title = "Tasks' CPU and memory, percent", region = var.region, draws = local.load[*].draws },
    { title = "FL files: percent of the limit", region = var.region, draws = [local.line["fl-files-busy"]] },
    { title = "Database: CPU and connections", region = var.region, draws = [local.line["database-cpu"], local.line["database-connections"]] },
    { title = "Database: storage and memory left", region = var.region, draws = [local.line["database-storage"], local.line["database-memory"]] },
    { title = "CloudFront: errors, percent", region = "us-east-1", draws = [local.line["edge-errors"]] },
    { title = "Blocked requests", region = "us-east-1", draws = [local.line["edge-blocked"]] },
    { title = "Days until CloudFront's certificate ends", region = "us-east-1", draws = [local.line["certificate-edge"]] },
    { title = "Days until the load balancer's certificate ends", region = var.region, draws = [local.line["certificate-origin"]] },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = local.name
  dashboard_body = jsonencode({
    widgets = [
      for at, chart in local.charts : {
        type   = "metric"
        x      = at % 3 * 8
        y      = floor(at / 3) * 6
        width  = 8
        height = 6
        properties = {
          title   = chart.title
          region  = chart.region
          view    = "timeSeries"
          period  = 300
          metrics = chart.draws
        }
      }
    ]
  })
}
