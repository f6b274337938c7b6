resource "aws_cloudwatch_metric_alarm" "status" {
  alarm_name          = "${local.name}-status"
  alarm_description   = "EC2 finds the host, or the machine below it, unwell. Look at the instance's system log; stop and start it: that moves it to another machine, reboot does not."
  namespace           = "AWS/EC2"
  metric_name         = "StatusCheckFailed"
  dimensions          = { InstanceId = aws_instance.host.id }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 5
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
}
