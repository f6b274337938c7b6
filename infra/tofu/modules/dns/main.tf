data "aws_route53_zone" "this" {
  name         = var.zone
  private_zone = false
}

resource "aws_route53_record" "caa" {
  for_each = { for kind in ["issue"] : kind => var.caa_issuers if length(var.caa_issuers) > 0 }
  zone_id  = data.aws_route53_zone.this.zone_id
  name     = var.domain
  type     = "CAA"
  ttl      = 3600
  records  = [for issuer in sort(each.value) : "0 ${each.key} \"${issuer}\""]
}
