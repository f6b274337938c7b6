# FLARE listens for admin consoles at a port of their own unless the kits' project gives both the same number.
locals {
  doors = { for name, door in {
    dashboard = { port = 443, cidrs = var.allowed_cidrs.dashboard }
    fl        = { port = var.fl_port, cidrs = var.allowed_cidrs.fl }
    admin     = { port = var.admin_port, cidrs = var.allowed_cidrs.admin }
  } : name => door if length(door.cidrs) > 0 }
}

data "aws_route53_zone" "this" {
  name         = var.zone
  private_zone = false
}

resource "aws_route53_record" "host" {
  for_each = { dashboard = var.domain, fl = var.server_name }
  zone_id  = data.aws_route53_zone.this.zone_id
  name     = each.value
  type     = "A"
  ttl      = 300
  records  = [module.host.address]
}
