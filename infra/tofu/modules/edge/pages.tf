resource "aws_cloudfront_origin_access_control" "pages" {
  name                              = "${local.name}-pages"
  description                       = "Pages of ${local.name}"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

# A folder's address shows the folder's page, as the root's does.
resource "aws_cloudfront_function" "pages" {
  name    = "${local.name}-pages"
  comment = "Folders have index.html"
  runtime = "cloudfront-js-2.0"
  publish = true
  code    = <<-JS
    function handler(event) {
      var request = event.request;
      if (request.uri.endsWith('/')) {
        request.uri += 'index.html';
      }
      return request;
    }
  JS
}

data "aws_iam_policy_document" "pages" {
  statement {
    sid       = "CloudFrontReads"
    actions   = ["s3:GetObject"]
    resources = ["${var.pages_bucket.arn}/*"]

    principals {
      type        = "Service"
      identifiers = ["cloudfront.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceArn"
      values   = [aws_cloudfront_distribution.hub.arn]
    }
  }

  # With it a page that is not there is 404, without it 403.
  statement {
    sid       = "CloudFrontKnowsWhatIsNotThere"
    actions   = ["s3:ListBucket"]
    resources = [var.pages_bucket.arn]

    principals {
      type        = "Service"
      identifiers = ["cloudfront.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceArn"
      values   = [aws_cloudfront_distribution.hub.arn]
    }
  }

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [var.pages_bucket.arn, "${var.pages_bucket.arn}/*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "pages" {
  bucket = var.pages_bucket.name
  policy = data.aws_iam_policy_document.pages.json
}
