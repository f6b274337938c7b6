data "aws_partition" "current" {}

locals {
  name      = "${var.project}-${var.environment}"
  aws       = data.aws_partition.current.partition
  namespace = "${local.name}.internal"
  tasks     = merge({ hub = "${local.name}-hub" }, { for net in keys(var.nets) : net => "${local.name}-fl-${net}" })

  # The hub and the nets find each other by these alone.
  addresses = {
    hub = "http://hub.${local.namespace}:8050/api/internal"
    nets = {
      for net in keys(var.nets) : net => "http://${net}.${local.namespace}:8040"
    }
  }
}
