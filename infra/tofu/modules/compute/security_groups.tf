resource "aws_security_group" "task" {
  for_each    = { hub = "The hub's tasks", fl = "FL servers' tasks" }
  name        = "${local.name}-${each.key}-tasks"
  description = each.value
  vpc_id      = var.vpc_id
}

locals {
  groups = { for key, group in aws_security_group.task : key => group.id }

  # Who may call whom: each is one rule at either end, but for the load balancers, whose end is their module's.
  calls = {
    alb_to_hub     = { from = var.ingress_security_group_ids.hub, to = local.groups["hub"], port = 8000, ends = ["to"] }
    nlb_to_fl      = { from = var.ingress_security_group_ids.fl, to = local.groups["fl"], port = 9092, ends = ["to"] }
    fl_to_hub      = { from = local.groups["fl"], to = local.groups["hub"], port = 8050, ends = ["from", "to"] }
    hub_to_fl      = { from = local.groups["hub"], to = local.groups["fl"], port = 8040, ends = ["from", "to"] }
    hub_to_data    = { from = local.groups["hub"], to = var.database.security_group_id, port = var.database.port, ends = ["from", "to"] }
    fl_to_its_data = { from = local.groups["fl"], to = var.efs_security_group_id, port = 2049, ends = ["from", "to"] }
  }
}

resource "aws_vpc_security_group_ingress_rule" "call" {
  for_each                     = { for name, call in local.calls : name => call if contains(call.ends, "to") }
  security_group_id            = each.value.to
  description                  = replace(each.key, "_", " ")
  referenced_security_group_id = each.value.from
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "call" {
  for_each                     = { for name, call in local.calls : name => call if contains(call.ends, "from") }
  security_group_id            = each.value.from
  description                  = replace(each.key, "_", " ")
  referenced_security_group_id = each.value.to
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "s3" {
  for_each          = toset(["hub", "fl"])
  security_group_id = local.groups[each.key]
  description       = "S3"
  prefix_list_id    = var.s3_prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "https" {
  for_each = {
    for pair in setproduct(["hub", "fl"], setunion([var.vpc_cidr], var.outbound_cidrs)) : join(" ", pair) => { group = pair[0], cidr = pair[1] }
  }
  security_group_id = local.groups[each.value.group]
  description       = "HTTPS"
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}
