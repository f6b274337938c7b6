# Its policy names the distribution that reads it, so module edge writes it.
resource "aws_s3_bucket" "pages" {
  #checkov:skip=CKV2_AWS_62:Nothing waits for new pages
  #checkov:skip=CKV_AWS_144:The pages are of a release, and can be put there again
  #checkov:skip=CKV_AWS_145:Everybody may read the pages; a KMS key would have to know the distribution, which is made later

  bucket        = "${local.name}-pages-${var.account_id}"
  force_destroy = var.disposable
}

resource "aws_s3_bucket_versioning" "pages" {
  bucket = aws_s3_bucket.pages.id

  versioning_configuration {
    status = "Enabled"
  }
}

# CloudFront reads it: a KMS key would have to know the distribution, which is made later.
resource "aws_s3_bucket_server_side_encryption_configuration" "pages" {
  bucket = aws_s3_bucket.pages.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "pages" {
  bucket                  = aws_s3_bucket.pages.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "pages" {
  bucket = aws_s3_bucket.pages.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "pages" {
  bucket = aws_s3_bucket.pages.id

  rule {
    id     = "old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = 30
    }

    expiration {
      expired_object_delete_marker = true
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  depends_on = [aws_s3_bucket_versioning.pages]
}

resource "aws_s3_bucket_logging" "pages" {
  bucket        = aws_s3_bucket.pages.id
  target_bucket = aws_s3_bucket.logs.id
  target_prefix = "s3/pages/"
  depends_on    = [aws_s3_bucket_policy.logs]
}
