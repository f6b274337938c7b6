output "topic_arn" {
  description = "ARN of the topic that the region's alarms tell; one that is not by e-mail may be subscribed, too."
  value       = aws_sns_topic.region.arn
}

output "edge_topic_arn" {
  description = "ARN of the topic in us-east-1 that CloudFront's, its certificate's and the web ACL's alarms tell."
  value       = aws_sns_topic.edge.arn
}

output "dashboard_name" {
  description = "Name of the dashboard."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}

output "alarm_names" {
  description = "Names of the alarms of the region, and of those in us-east-1."
  value = {
    region = sort(concat([for alarm in aws_cloudwatch_metric_alarm.region : alarm.alarm_name], [for alarm in aws_cloudwatch_metric_alarm.tasks : alarm.alarm_name]))
    edge   = sort([for alarm in aws_cloudwatch_metric_alarm.edge : alarm.alarm_name])
  }
}
