output "url" {
  description = "Where the hub is."
  value       = "https://${var.domain}"
  depends_on  = [aws_route53_record.hub]
}

output "distribution_id" {
  description = "Id of the CloudFront distribution."
  value       = aws_cloudfront_distribution.hub.id
}

output "distribution_arn" {
  description = "ARN of the CloudFront distribution."
  value       = aws_cloudfront_distribution.hub.arn
}

output "target_group_arn" {
  description = "Target group of the hub's tasks."
  value       = aws_lb_target_group.hub.arn
  depends_on  = [aws_lb_listener_rule.api] # ECS refuses a target group that no load balancer has
}

output "target_group_arn_suffix" {
  description = "The target group, as CloudWatch names it."
  value       = aws_lb_target_group.hub.arn_suffix
}

output "alb_arn_suffix" {
  description = "The load balancer, as CloudWatch names it."
  value       = aws_lb.hub.arn_suffix
}

output "alb_security_group_id" {
  description = "Group of the load balancer, from which the hub takes connections."
  value       = aws_security_group.alb.id
}

output "web_acl_arn" {
  description = "ARN of the firewall."
  value       = aws_wafv2_web_acl.edge.arn
}

output "web_acl_name" {
  description = "The firewall, as CloudWatch names it."
  value       = aws_wafv2_web_acl.edge.name
}

output "timeouts" {
  description = "Seconds that each link on a request's way waits; hub_keep_alive is for the hub itself."
  value       = local.timeouts
}
