# WAF wants this beginning of the name.
resource "aws_cloudwatch_log_group" "firewall" {
  #checkov:skip=CKV_AWS_158:The environment's keys are of its region and this log is in us-east-1: CloudWatch's own key encrypts it

  provider          = aws.us_east_1
  name              = "aws-waf-logs-${local.name}-edge"
  retention_in_days = var.log_days
}

resource "aws_wafv2_web_acl_logging_configuration" "edge" {
  provider                = aws.us_east_1
  resource_arn            = aws_wafv2_web_acl.edge.arn
  log_destination_configs = [aws_cloudwatch_log_group.firewall.arn]

  dynamic "redacted_fields" {
    for_each = toset(["authorization", "cookie", lower(var.trust_key_header)])

    content {
      single_header {
        name = redacted_fields.value
      }
    }
  }
}
