locals {
  others = join("", [for origin in sort(var.sign_in_origins) : " ${origin}"])

  content_security = {
    pages = "default-src 'self'; connect-src 'self'${local.others}; form-action 'self'${local.others}; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    api   = "default-src 'none'; frame-ancestors 'none'" # a download opened in a browser runs nothing
  }
}

resource "aws_cloudfront_response_headers_policy" "this" {
  #checkov:skip=CKV_AWS_259:Two years for the hub's own name; for names below it, and for preload lists, the domain's owner speaks

  for_each = toset(["pages", "api"])
  name     = "${local.name}-${each.key}"

  security_headers_config {
    content_security_policy {
      content_security_policy = local.content_security[each.key]
      override                = true
    }

    content_type_options {
      override = true
    }

    frame_options {
      frame_option = "DENY"
      override     = true
    }

    referrer_policy {
      referrer_policy = "same-origin"
      override        = true
    }

    strict_transport_security {
      access_control_max_age_sec = 63072000
      override                   = true
    }
  }
}
