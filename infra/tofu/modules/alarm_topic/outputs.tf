output "arn" {
  description = "ARN of the topic, for alarms of its region."
  value       = aws_sns_topic.alarms.arn
}
