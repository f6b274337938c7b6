locals {
  name = "${var.project}-${var.environment}-hub"
}

data "aws_partition" "current" {}

resource "aws_db_subnet_group" "hub" {
  name        = local.name
  description = "Subnets of ${local.name} for data"
  subnet_ids  = values(var.subnet_ids)
}

# Without rules: what may reach the database adds its own, and the database itself calls nobody.
resource "aws_security_group" "database" {
  name        = "${local.name}-database"
  description = "Database of ${local.name}"
  vpc_id      = var.vpc_id

  tags = { Name = "${local.name}-database" }
}

resource "aws_db_instance" "hub" {
  #checkov:skip=CKV_AWS_161:The hub signs in with the password that AWS keeps and rotates: one way in is enough
  #checkov:skip=CKV_AWS_293:On unless the database is disposable, which checkov does not work out

  identifier     = local.name
  engine         = "postgres"
  engine_version = var.engine_version
  instance_class = var.instance_class
  multi_az       = var.multi_az

  db_name                       = "flip_hub"
  username                      = "flip_hub"
  manage_master_user_password   = true
  master_user_secret_kms_key_id = var.key_arn

  iam_database_authentication_enabled = false

  storage_type          = "gp3"
  allocated_storage     = var.storage.gb
  max_allocated_storage = var.storage.max_gb
  storage_encrypted     = true
  kms_key_id            = var.key_arn

  db_subnet_group_name   = aws_db_subnet_group.hub.name
  vpc_security_group_ids = [aws_security_group.database.id]
  publicly_accessible    = false
  port                   = 5432

  parameter_group_name        = aws_db_parameter_group.hub.name
  auto_minor_version_upgrade  = true
  allow_major_version_upgrade = var.allow_major_upgrade
  apply_immediately           = var.disposable
  maintenance_window          = "sun:03:30-sun:04:30"

  backup_retention_period  = var.backup_days
  backup_window            = "02:00-03:00"
  copy_tags_to_snapshot    = true
  delete_automated_backups = var.disposable
  deletion_protection      = !var.disposable
  skip_final_snapshot      = var.disposable
  # The group's id makes the name one that no earlier database of this name has left behind.
  final_snapshot_identifier = var.disposable ? null : "${local.name}-final-${aws_security_group.database.id}"

  enabled_cloudwatch_logs_exports       = keys(aws_cloudwatch_log_group.database)
  monitoring_interval                   = 60
  monitoring_role_arn                   = aws_iam_role.monitoring.arn
  performance_insights_enabled          = true
  performance_insights_kms_key_id       = var.key_arn
  performance_insights_retention_period = 7

  depends_on = [aws_iam_role_policy_attachment.monitoring]
}
