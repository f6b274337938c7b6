locals {
  name = "${var.project}-${var.environment}"

  # Load balancers and target groups have names of at most 32 characters: a long one is cut, and told apart by its digest.
  long  = { for net in keys(var.nets) : net => "${local.name}-${net}" }
  names = { for net, name in local.long : net => length(name) <= 32 ? name : "${trimsuffix(substr(name, 0, 23), "-")}-${substr(sha256(name), 0, 8)}" }
}

# A port of a load balancer leads to one place, whatever the host's name: a net has a load balancer of its own, so that
# each is reached on 443. TLS goes through untouched, to the FL server, which asks for the trust's certificate.
resource "aws_lb" "net" {
  #checkov:skip=CKV_AWS_150:On unless the load balancer is disposable, which checkov does not work out

  for_each                         = var.nets
  name                             = local.names[each.key]
  load_balancer_type               = "network"
  subnets                          = values(var.subnet_ids)
  security_groups                  = [aws_security_group.nlb.id]
  enable_cross_zone_load_balancing = true # a net's server is one task, in one zone
  enable_deletion_protection       = !var.disposable

  # Written for TLS listeners alone; who connects says the VPC's flow log.
  access_logs {
    enabled = true
    bucket  = var.logs_bucket.name
    prefix  = "nlb"
  }
}

resource "aws_lb_target_group" "net" {
  for_each             = var.nets
  name                 = local.names[each.key]
  vpc_id               = var.vpc_id
  target_type          = "ip"
  port                 = 9092
  protocol             = "TCP"
  preserve_client_ip   = true
  deregistration_delay = 60

  health_check {
    protocol            = "TCP"
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "net" {
  for_each          = var.nets
  load_balancer_arn = aws_lb.net[each.key].arn
  port              = each.value.port
  protocol          = "TCP"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.net[each.key].arn
  }
}

resource "aws_route53_record" "net" {
  for_each = var.nets
  zone_id  = var.zone_id
  name     = each.value.host
  type     = "A"

  alias {
    name                   = aws_lb.net[each.key].dns_name
    zone_id                = aws_lb.net[each.key].zone_id
    evaluate_target_health = false # a net that is down keeps its name
  }
}
