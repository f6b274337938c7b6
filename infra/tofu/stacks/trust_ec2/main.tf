# A trust's host on EC2, with GPUs, in a subnet that is there: one that reaches the hospital's PACS and the internet.

data "aws_subnet" "host" {
  id = var.subnet_id
}

module "keys" {
  source      = "../../modules/keys"
  project     = var.project
  environment = var.environment
  account_id  = var.account_id
  region      = var.region
  only        = ["data", "logs"]
}

module "alarm_topic" {
  source      = "../../modules/alarm_topic"
  project     = var.project
  environment = var.environment
  account_id  = var.account_id
  region      = var.region
  key_arn     = module.keys.logs_arn
  emails      = var.emails
}

module "gpu_types" {
  source        = "../../modules/gpu_types"
  gpus          = var.gpus
  gpu_memory_gb = var.gpu_memory_gb
  memory_gb     = var.memory_gb
  families      = var.gpu_families
}

module "host" {
  source          = "../../modules/ec2_host"
  project         = var.project
  environment     = var.environment
  name            = "host"
  region          = var.region
  vpc_id          = data.aws_subnet.host.vpc_id
  subnet          = { id = data.aws_subnet.host.id, zone = data.aws_subnet.host.availability_zone }
  instance_type   = module.gpu_types.instance_type
  ami             = var.ami
  user            = var.user
  operator_keys   = var.operator_keys
  key_arn         = module.keys.data_arn
  root_gb         = var.root_gb
  data_gb         = var.data_gb
  ingress         = var.ingress
  egress_ports    = var.egress_ports
  alarm_topic_arn = module.alarm_topic.arn
  protected       = var.protected
  disposable      = var.disposable

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
  resource_arns            = { data = module.host.volume_arn }
}
