locals {
  # What is logged says who did what and when, never the values that a statement came with: they may be a patient's.
  logging = {
    log_connections                   = "1"
    log_disconnections                = "1"
    log_lock_waits                    = "1"
    log_min_duration_statement        = "1000"
    log_parameter_max_length          = "0"
    log_parameter_max_length_on_error = "0"
    log_statement                     = "ddl"
  }
}

resource "aws_db_parameter_group" "hub" {
  name        = "${local.name}-postgres${var.engine_version}"
  family      = "postgres${var.engine_version}"
  description = "TLS alone, and logging, for ${local.name}"

  parameter {
    name         = "rds.force_ssl"
    value        = "1"
    apply_method = "pending-reboot" # as AWS reports what is its default, too
  }

  dynamic "parameter" {
    for_each = local.logging

    content {
      name  = parameter.key
      value = parameter.value
    }
  }

  lifecycle {
    create_before_destroy = true # an upgrade needs the next version's group while this one is in use
  }
}
