output "backend" {
  description = "Settings of `backend \"s3\"` that every stack of the environment shares; each adds a `key` of its own."
  value = {
    bucket       = aws_s3_bucket.state.bucket
    region       = var.region
    encrypt      = true
    use_lockfile = true
    kms_key_id   = "arn:${data.aws_partition.current.partition}:kms:${var.region}:${var.account_id}:${aws_kms_alias.state.name}"
  }
}

output "bucket_arn" {
  description = "ARN of the bucket that holds the states."
  value       = aws_s3_bucket.state.arn
}

output "key_arn" {
  description = "ARN of the KMS key that encrypts them."
  value       = aws_kms_key.state.arn
}
