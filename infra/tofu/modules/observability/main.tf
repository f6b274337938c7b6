data "aws_partition" "current" {}

locals {
  name = "${var.project}-${var.environment}"

  hub_target = { LoadBalancer = var.hub_front.alb_arn_suffix, TargetGroup = var.hub_front.target_group_arn_suffix }
  fl_targets = {
    for net, suffix in var.fl_front.target_group_arn_suffixes : net => { LoadBalancer = var.fl_front.nlb_arn_suffixes[net], TargetGroup = suffix }
  }
  database     = { DBInstanceIdentifier = var.database.instance_id }
  distribution = { DistributionId = var.hub_front.distribution_id, Region = "Global" }
  web_acl      = { WebACL = split("/", var.hub_front.web_acl_arn)[2], Rule = "ALL" } # its metrics bear its name
}
