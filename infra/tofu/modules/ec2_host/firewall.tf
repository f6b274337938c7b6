resource "aws_security_group" "host" {
  name        = local.name
  description = "The host ${local.name}"
  vpc_id      = var.vpc_id

  tags = { Name = local.name }
}

resource "aws_vpc_security_group_ingress_rule" "host" {
  for_each = merge([
    for name, door in var.ingress : { for cidr in door.cidrs : "${name} ${cidr}" => { port = door.port, cidr = cidr } }
  ]...)
  security_group_id = aws_security_group.host.id
  description       = each.key
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
}

# No rule is needed for AWS's own DNS and time servers of the network, nor could one close them.
# https://docs.aws.amazon.com/vpc/latest/userguide/vpc-security-groups.html
resource "aws_vpc_security_group_egress_rule" "host" {
  for_each          = toset([for port in var.egress_ports : tostring(port)])
  security_group_id = aws_security_group.host.id
  description       = "To anywhere at port ${each.key}"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = tonumber(each.key)
  to_port           = tonumber(each.key)
}
