output "vpc_id" {
  description = "The network's id."
  value       = aws_vpc.hub.id
}

output "cidr" {
  description = "Its addresses."
  value       = aws_vpc.hub.cidr_block
}

output "public_subnet_ids" {
  description = "By zone, the subnet that the internet reaches."
  value       = { for zone, subnet in aws_subnet.public : zone => subnet.id }
}

output "private_subnet_ids" {
  description = "By zone, the subnet that reaches the internet, and that nothing there reaches."
  value       = { for zone, subnet in aws_subnet.private : zone => subnet.id }
}

output "data_subnet_ids" {
  description = "By zone, the subnet without a way in or out of the network."
  value       = { for zone, subnet in aws_subnet.data : zone => subnet.id }
}

output "endpoints_security_group_id" {
  description = "Security group of the endpoints of AWS's services."
  value       = aws_security_group.endpoints.id
}

output "s3_prefix_list_id" {
  description = "Prefix list of S3, for rules that let tasks reach it."
  value       = aws_vpc_endpoint.s3.prefix_list_id
}
