locals {
  doors = { for door in setproduct(toset([for net in var.nets : tostring(net.port)]), var.allowed_cidrs) : "${door[0]} from ${door[1]}" => { port = tonumber(door[0]), cidr = door[1] } }
}

resource "aws_security_group" "nlb" {
  name        = "${local.name}-fl-nlb"
  description = "Load balancers of the FL nets"
  vpc_id      = var.vpc_id
  tags        = { Name = "${local.name}-fl-nlb" }
}

resource "aws_vpc_security_group_ingress_rule" "trusts" {
  for_each          = local.doors
  security_group_id = aws_security_group.nlb.id
  description       = "Trusts"
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "servers" {
  security_group_id = aws_security_group.nlb.id
  description       = "FL servers"
  cidr_ipv4         = var.vpc_cidr
  ip_protocol       = "tcp"
  from_port         = 9092
  to_port           = 9092
}
