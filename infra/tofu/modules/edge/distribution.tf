locals {
  # AWS's own policies have the same ids everywhere.
  # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html
  caching_disabled  = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
  caching_optimized = "658327ea-f89d-4fab-a63d-7e88639e58f6"
  all_viewer        = "216adef6-5c7f-47e4-b989-5492eafa07d3"
}

resource "aws_cloudfront_vpc_origin" "hub" {
  vpc_origin_endpoint_config {
    name                   = "${local.name}-hub"
    arn                    = aws_lb.hub.arn
    http_port              = 80
    https_port             = 443
    origin_protocol_policy = "https-only"

    origin_ssl_protocols {
      items    = ["TLSv1.2"]
      quantity = 1
    }
  }

  depends_on = [aws_lb_listener.https]
}

resource "aws_cloudfront_distribution" "hub" {
  #checkov:skip=CKV2_AWS_47:The firewall has AWS's rules against Log4j; the list of anonymous addresses, asked for too, would refuse trusts in clouds
  #checkov:skip=CKV_AWS_310:The hub has one load balancer, over several zones: no second origin could answer for it
  #checkov:skip=CKV_AWS_374:Hospitals of any country may take part

  comment             = local.name
  enabled             = true
  is_ipv6_enabled     = true
  http_version        = "http2and3"
  price_class         = "PriceClass_100"
  aliases             = [var.domain]
  default_root_object = "index.html"
  web_acl_id          = aws_wafv2_web_acl.edge.arn

  origin {
    origin_id                = "pages"
    domain_name              = var.pages_bucket.domain
    origin_access_control_id = aws_cloudfront_origin_access_control.pages.id
  }

  origin {
    origin_id   = "hub"
    domain_name = aws_lb.hub.dns_name

    vpc_origin_config {
      vpc_origin_id            = aws_cloudfront_vpc_origin.hub.id
      origin_read_timeout      = local.timeouts.origin_read
      origin_keepalive_timeout = local.timeouts.origin_keep_alive
    }
  }

  default_cache_behavior {
    target_origin_id           = "pages"
    viewer_protocol_policy     = "redirect-to-https"
    allowed_methods            = ["GET", "HEAD", "OPTIONS"]
    cached_methods             = ["GET", "HEAD"]
    compress                   = true
    cache_policy_id            = local.caching_optimized
    response_headers_policy_id = aws_cloudfront_response_headers_policy.this["pages"].id

    function_association {
      event_type   = "viewer-request"
      function_arn = aws_cloudfront_function.pages.arn
    }
  }

  # Every header goes on: keys and tokens, ranges, and Host, for which the load balancer's certificate is.
  # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-https-cloudfront-to-custom-origin.html
  # Nothing is compressed, for what is compressed is held back.
  ordered_cache_behavior {
    path_pattern               = "/api/*"
    target_origin_id           = "hub"
    viewer_protocol_policy     = "https-only" # a redirect would come after the key was sent in the clear
    allowed_methods            = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    cached_methods             = ["GET", "HEAD"]
    compress                   = false
    cache_policy_id            = local.caching_disabled
    origin_request_policy_id   = local.all_viewer
    response_headers_policy_id = aws_cloudfront_response_headers_policy.this["api"].id
  }

  # Without this CloudFront keeps an error for 10 s, also one of the API, and gives it to whoever asks next. Errors
  # keep their bodies: a page of ours in their place would be one for the API, too.
  dynamic "custom_error_response" {
    for_each = toset([400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504])

    content {
      error_code            = custom_error_response.value
      error_caching_min_ttl = 0
    }
  }

  logging_config {
    bucket          = var.logs_bucket.domain
    prefix          = "cloudfront/"
    include_cookies = false
  }

  viewer_certificate {
    acm_certificate_arn      = var.certificates.edge
    minimum_protocol_version = "TLSv1.2_2021"
    ssl_support_method       = "sni-only"
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }
}

resource "aws_route53_record" "hub" {
  for_each = toset(["A", "AAAA"])
  zone_id  = var.zone_id
  name     = var.domain
  type     = each.key

  alias {
    name                   = aws_cloudfront_distribution.hub.domain_name
    zone_id                = aws_cloudfront_distribution.hub.hosted_zone_id
    evaluate_target_health = false
  }
}
