output "zone_id" {
  description = "Id of the zone."
  value       = data.aws_route53_zone.this.zone_id
}

output "certificates" {
  description = "ARNs of issued certificates for the domain: CloudFront's (edge, of us-east-1) and the load balancer's (origin)."
  value = {
    edge   = aws_acm_certificate_validation.edge.certificate_arn
    origin = aws_acm_certificate_validation.origin.certificate_arn
  }
}
