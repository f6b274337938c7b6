locals {
  managed = {
    reputation = { group = "AWSManagedRulesAmazonIpReputationList", priority = 1 }
    bad_inputs = { group = "AWSManagedRulesKnownBadInputsRuleSet", priority = 2 }
    common     = { group = "AWSManagedRulesCommonRuleSet", priority = 3 }
  }

  # Counted, not blocked: an app is code in an archive, a cohort query is SQL and a result is large. Their bodies are over the
  # 8 KB that the common rules allow, and look like what the others look for. The hub checks them, and who sends them.
  counted = {
    reputation = []
    bad_inputs = []
    common     = ["SizeRestrictions_BODY", "CrossSiteScripting_BODY", "EC2MetaDataSSRF_BODY", "GenericLFI_BODY", "GenericRFI_BODY"]
  }
}

resource "aws_wafv2_web_acl" "edge" {
  #checkov:skip=CKV_AWS_192:Rule bad_inputs is AWS's group against Log4j; checkov does not work out the dynamic block

  provider    = aws.us_east_1
  name        = "${local.name}-edge"
  description = "What reaches ${local.name}"
  scope       = "CLOUDFRONT"

  default_action {
    allow {}
  }

  dynamic "rule" {
    for_each = local.managed

    content {
      name     = rule.key
      priority = rule.value.priority

      override_action {
        none {}
      }

      statement {
        managed_rule_group_statement {
          name        = rule.value.group
          vendor_name = "AWS"

          dynamic "rule_action_override" {
            for_each = local.counted[rule.key]

            content {
              name = rule_action_override.value

              action_to_use {
                count {}
              }
            }
          }
        }
      }

      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = rule.key
        sampled_requests_enabled   = false # samples show headers, and keys in them
      }
    }
  }

  # A long poll is one request in half a minute: what is limited are those that come much faster.
  rule {
    name     = "trusts"
    priority = 4

    action {
      block {
        custom_response {
          response_code = 429
        }
      }
    }

    statement {
      rate_based_statement {
        limit                 = var.rate_limit.trusts
        evaluation_window_sec = 300
        aggregate_key_type    = "IP"

        scope_down_statement {
          byte_match_statement {
            search_string         = "/api/trust/"
            positional_constraint = "STARTS_WITH"

            field_to_match {
              uri_path {}
            }

            text_transformation {
              type     = "NORMALIZE_PATH"
              priority = 0
            }
          }
        }
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "trusts"
      sampled_requests_enabled   = false
    }
  }

  rule {
    name     = "people"
    priority = 5

    action {
      block {
        custom_response {
          response_code = 429
        }
      }
    }

    statement {
      rate_based_statement {
        limit                 = var.rate_limit.people
        evaluation_window_sec = 300
        aggregate_key_type    = "IP"

        scope_down_statement {
          not_statement {
            statement {
              byte_match_statement {
                search_string         = "/api/trust/"
                positional_constraint = "STARTS_WITH"

                field_to_match {
                  uri_path {}
                }

                text_transformation {
                  type     = "NORMALIZE_PATH"
                  priority = 0
                }
              }
            }
          }
        }
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "people"
      sampled_requests_enabled   = false
    }
  }

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = "${local.name}-edge"
    sampled_requests_enabled   = false
  }
}
