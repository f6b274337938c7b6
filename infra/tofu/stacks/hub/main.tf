# Where it all lies, and what holds data.

module "keys" {
  source      = "../../modules/keys"
  project     = var.project
  environment = var.environment
  account_id  = var.account_id
  region      = var.region
}

module "network" {
  source        = "../../modules/network"
  project       = var.project
  environment   = var.environment
  account_id    = var.account_id
  region        = var.region
  cidr          = var.network.cidr
  zones         = var.network.zones
  nat           = var.network.nat
  logs_key_arn  = module.keys.logs_arn
  flow_log_days = var.log_days

  permissions_boundary_arn = var.permissions_boundary_arn
}

module "secrets" {
  source        = "../../modules/secrets"
  project       = var.project
  environment   = var.environment
  account_id    = var.account_id
  key_arn       = module.keys.data_arn
  recovery_days = var.disposable ? 0 : 30
  names         = local.secrets
}

module "storage" {
  source      = "../../modules/storage"
  project     = var.project
  environment = var.environment
  account_id  = var.account_id
  key_arn     = module.keys.data_arn
  vpc_id      = module.network.vpc_id
  subnet_ids  = module.network.data_subnet_ids
  nets        = keys(var.nets)
  log_days    = var.log_days
  disposable  = var.disposable
}

module "database" {
  source         = "../../modules/database"
  project        = var.project
  environment    = var.environment
  account_id     = var.account_id
  region         = var.region
  vpc_id         = module.network.vpc_id
  subnet_ids     = module.network.data_subnet_ids
  key_arn        = module.keys.data_arn
  logs_key_arn   = module.keys.logs_arn
  log_days       = var.log_days
  engine_version = var.database.engine_version
  instance_class = var.database.instance_class
  storage        = var.database.storage
  multi_az       = var.database.multi_az
  backup_days    = var.database.backup_days
  disposable     = var.disposable

  allow_major_upgrade      = var.database.allow_major_upgrade
  permissions_boundary_arn = var.permissions_boundary_arn
}

module "backup" {
  source      = "../../modules/backup"
  project     = var.project
  environment = var.environment
  key_arn     = module.keys.data_arn
  schedule    = var.backup.schedule
  keep_days   = var.backup.keep_days
  disposable  = var.disposable

  permissions_boundary_arn = var.permissions_boundary_arn

  resource_arns = {
    database = module.database.instance_arn
    files    = module.storage.files_bucket.arn
    nets     = module.storage.efs.arn
  }
}
