# In private subnets: the Internet has no way to it but CloudFront's.
resource "aws_lb" "hub" {
  #checkov:skip=CKV_AWS_150:On unless the load balancer is disposable, which checkov does not work out

  name                       = "${local.name}-hub"
  internal                   = true
  load_balancer_type         = "application"
  subnets                    = values(var.subnet_ids)
  security_groups            = [aws_security_group.alb.id]
  idle_timeout               = local.timeouts.alb_idle
  drop_invalid_header_fields = true
  enable_deletion_protection = !var.disposable

  access_logs {
    enabled = true
    bucket  = var.logs_bucket.name
    prefix  = "alb"
  }
}

resource "aws_lb_target_group" "hub" {
  #checkov:skip=CKV_AWS_378:TLS ends at the load balancer; inside the network, it alone reaches this port of the hub's tasks

  name                 = "${local.name}-hub"
  vpc_id               = var.vpc_id
  target_type          = "ip"
  port                 = 8000
  protocol             = "HTTP"
  deregistration_delay = local.timeouts.deregistration

  health_check {
    path                = "/api/health"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.hub.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificates.origin

  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "not found"
      status_code  = "404"
    }
  }
}

resource "aws_lb_listener_rule" "api" {
  listener_arn = aws_lb_listener.https.arn
  priority     = 1

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.hub.arn
  }

  condition {
    host_header {
      values = [var.domain]
    }
  }

  condition {
    path_pattern {
      values = ["/api/*"]
    }
  }
}
