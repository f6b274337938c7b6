# Of what bears this stack's tags; Project has to be made a cost allocation tag in the account's billing once.
resource "aws_budgets_budget" "month" {
  name         = "${var.project}-${var.environment}-month"
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_amount = tostring(var.budget_usd)
  limit_unit   = "USD"

  cost_filter {
    name   = "TagKeyValue"
    values = [format("user:Project$%s", var.project)]
  }

  dynamic "notification" {
    for_each = { nearly = ["ACTUAL", 80], spent = ["ACTUAL", 100], foreseen = ["FORECASTED", 100] }

    content {
      notification_type          = notification.value[0]
      threshold                  = notification.value[1]
      threshold_type             = "PERCENTAGE"
      comparison_operator        = "GREATER_THAN"
      subscriber_email_addresses = var.emails
    }
  }
}
