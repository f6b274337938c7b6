output "target_group_arns" {
  description = "Target group of each net's server."
  value       = { for net, group in aws_lb_target_group.net : net => group.arn }
  depends_on  = [aws_lb_listener.net] # ECS refuses a target group that no load balancer has
}

output "target_group_arn_suffixes" {
  description = "The target groups, as CloudWatch names them."
  value       = { for net, group in aws_lb_target_group.net : net => group.arn_suffix }
}

output "nlb_arn_suffixes" {
  description = "Each net's load balancer, as CloudWatch names it."
  value       = { for net, balancer in aws_lb.net : net => balancer.arn_suffix }
}

output "nlb_security_group_id" {
  description = "Group of the load balancers, from which the servers take connections."
  value       = aws_security_group.nlb.id
}

output "addresses" {
  description = "Where trusts reach each net: host:port."
  value       = { for name, net in var.nets : name => "${net.host}:${net.port}" }
}
