locals {
  name = "${var.project}-${var.environment}"

  # A poll is held for long_poll_seconds. Who waits for whom: each link is more patient than the one behind it, and of two
  # that share a connection the sender closes first, so that no request meets a closed door.
  timeouts = {
    origin_read       = var.long_poll_seconds + 30 # CloudFront for the hub's answer; at most 120 (API_VpcOriginConfig)
    origin_keep_alive = var.long_poll_seconds + 30 # CloudFront closes an idle connection to the load balancer
    alb_idle          = var.long_poll_seconds + 60 # the load balancer's patience, with a silent hub and with CloudFront
    hub_keep_alive    = var.long_poll_seconds + 70 # the hub's, with the load balancer
    deregistration    = var.long_poll_seconds + 30 # a hub that goes answers the polls it holds
  }
}
