output "files_bucket" {
  description = "Bucket of models' apps and results; what uses this waits until it keeps versions, and encrypts."
  value       = { name = aws_s3_bucket.files.bucket, arn = aws_s3_bucket.files.arn }
  depends_on  = [aws_s3_bucket_versioning.files, aws_s3_bucket_server_side_encryption_configuration.files]
}

output "pages_bucket" {
  description = "Bucket of the web pages, and its address for CloudFront; what uses this waits until it keeps versions."
  value       = { name = aws_s3_bucket.pages.bucket, arn = aws_s3_bucket.pages.arn, domain = aws_s3_bucket.pages.bucket_regional_domain_name }
  depends_on  = [aws_s3_bucket_versioning.pages]
}

output "logs_bucket" {
  description = "Bucket of access logs; what uses this waits until it takes them."
  value       = { name = aws_s3_bucket.logs.bucket, arn = aws_s3_bucket.logs.arn, domain = aws_s3_bucket.logs.bucket_domain_name }
  depends_on  = [aws_s3_bucket_policy.logs, aws_s3_bucket_ownership_controls.logs]
}

output "efs" {
  description = "File system of FL workspaces."
  value       = { id = aws_efs_file_system.fl.id, arn = aws_efs_file_system.fl.arn }
  depends_on  = [aws_efs_mount_target.zone, aws_efs_file_system_policy.fl]
}

output "efs_access_points" {
  description = "Access point of each net."
  value       = { for net, point in aws_efs_access_point.net : net => { id = point.id, arn = point.arn } }
}

output "efs_security_group_id" {
  description = "Group of the file system's mount targets; it lets nobody in by itself."
  value       = aws_security_group.efs.id
}
