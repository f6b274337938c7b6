output "url" {
  description = "What takes the place of the upstream's host in an image's name: ghcr.io/example/hub@sha256:... is URL/example/hub@sha256:..."
  value       = "${var.account_id}.dkr.ecr.${var.region}.${data.aws_partition.current.dns_suffix}/${aws_ecr_pull_through_cache_rule.this.ecr_repository_prefix}"
}
