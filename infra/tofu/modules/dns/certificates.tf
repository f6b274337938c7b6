# CloudFront takes certificates of us-east-1 alone.
resource "aws_acm_certificate" "edge" {
  provider          = aws.us_east_1
  domain_name       = var.domain
  validation_method = "DNS"
  depends_on        = [aws_route53_record.caa]

  lifecycle {
    create_before_destroy = true
  }
}

# CloudFront sends the viewer's Host and checks the load balancer's certificate against it.
resource "aws_acm_certificate" "origin" {
  domain_name       = var.domain
  validation_method = "DNS"
  depends_on        = [aws_route53_record.caa]

  lifecycle {
    create_before_destroy = true
  }
}

# One record proves the domain for both: it depends on the account and the name, not on the region.
# https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html
resource "aws_route53_record" "validation" {
  zone_id         = data.aws_route53_zone.this.zone_id
  name            = one(aws_acm_certificate.edge.domain_validation_options).resource_record_name
  type            = one(aws_acm_certificate.edge.domain_validation_options).resource_record_type
  records         = [one(aws_acm_certificate.edge.domain_validation_options).resource_record_value]
  ttl             = 300
  allow_overwrite = true
}

resource "aws_acm_certificate_validation" "edge" {
  provider                = aws.us_east_1
  certificate_arn         = aws_acm_certificate.edge.arn
  validation_record_fqdns = [aws_route53_record.validation.fqdn]
}

resource "aws_acm_certificate_validation" "origin" {
  certificate_arn = aws_acm_certificate.origin.arn
  depends_on      = [aws_route53_record.validation]
}
