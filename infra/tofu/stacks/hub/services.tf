# What runs: the hub and a FL server for each net, who may sign in, and who is told when something is wrong.

locals {
  # The load balancer may send a request over a connection for as long as it keeps one: the hub keeps it longer.
  hub_settings = { HUB_KEEP_ALIVE_SECONDS = tostring(module.edge.timeouts.hub_keep_alive) }

  trust_key_header = lookup(var.hub.settings, "TRUST_API_KEY_HEADER", "X-Trust-Api-Key")

  secrets = merge(
    {
      "internal-service-key"      = "Key that FL servers show the hub"
      "internal-service-key-hash" = "SHA-256 of that key, for the hub"
      "fl-api-key"                = "Key that the hub shows the FL servers"
      "fl-authority-certificate"  = "Authority of the FL servers' certificates; goes into trusts' kits"
      "fl-authority-key"          = "Its key; no service reads it"
    },
    { for name in keys(var.nets) : "fl-${name}-certificate" => "Certificate of net ${name}'s FL server" },
    { for name in keys(var.nets) : "fl-${name}-key" => "Key of that certificate" },
  )
}

module "identity" {
  source      = "../../modules/identity"
  project     = var.project
  environment = var.environment
  account_id  = var.account_id
  region      = var.region
  domain      = var.domain
  mfa         = var.mfa
  disposable  = var.disposable
}

module "registry" {
  source   = "../../modules/registry"
  for_each = var.registry == null ? {} : { upstream = var.registry }

  project                  = var.project
  environment              = var.environment
  account_id               = var.account_id
  region                   = var.region
  upstream                 = each.value.upstream
  credential_secret_arn    = each.value.credential_secret_arn
  key_arn                  = module.keys.data_arn
  permissions_boundary_arn = var.permissions_boundary_arn
}

module "compute" {
  source       = "../../modules/compute"
  project      = var.project
  environment  = var.environment
  account_id   = var.account_id
  region       = var.region
  vpc_id       = module.network.vpc_id
  vpc_cidr     = module.network.cidr
  subnet_ids   = module.network.private_subnet_ids
  logs_key_arn = module.keys.logs_arn
  log_days     = var.log_days
  images       = var.images
  hub          = merge(var.hub, { settings = merge(local.hub_settings, var.hub.settings) })
  efs          = module.storage.efs
  files_bucket = module.storage.files_bucket
  nets         = { for name, net in var.nets : name => { cpu = net.cpu, memory = net.memory, settings = net.settings } }
  secret_arns  = module.secrets.arns
  key_arns     = { data = module.keys.data_arn, master = module.keys.master_arn }
  disposable   = var.disposable

  s3_prefix_list_id        = module.network.s3_prefix_list_id
  permissions_boundary_arn = var.permissions_boundary_arn
  oidc                     = { issuer = module.identity.issuer, client_id = module.identity.client_id }

  efs_access_points     = module.storage.efs_access_points
  efs_security_group_id = module.storage.efs_security_group_id
  target_group_arns     = { hub = module.edge.target_group_arn, nets = module.fl_ingress.target_group_arns }

  ingress_security_group_ids = {
    hub = module.edge.alb_security_group_id
    fl  = module.fl_ingress.nlb_security_group_id
  }

  database = {
    address           = module.database.address
    port              = module.database.port
    name              = module.database.name
    secret_arn        = module.database.secret_arn
    security_group_id = module.database.security_group_id
  }

  database_ca = { bucket = aws_s3_object.database_ca.bucket, key = aws_s3_object.database_ca.key }
}

# RDS's authority, which the hub checks the database by. Beside the files, under a name that the hub never uses.
resource "aws_s3_object" "database_ca" {
  bucket       = module.storage.files_bucket.name
  key          = "config/rds-ca.pem"
  content      = file(var.database.ca_file)
  content_type = "application/x-pem-file"
}

module "observability" {
  source       = "../../modules/observability"
  project      = var.project
  environment  = var.environment
  account_id   = var.account_id
  region       = var.region
  logs_key_arn = module.keys.logs_arn
  emails       = var.emails
  budget_usd   = var.budget_usd
  efs_id       = module.storage.efs.id
  database     = { instance_id = module.database.instance_id, storage_gb = var.database.storage.gb }
  certificates = module.dns.certificates

  tasks = {
    cluster_name    = module.compute.cluster_name
    service_names   = module.compute.service_names
    log_group_names = module.compute.log_group_names
  }

  hub_front = {
    alb_arn_suffix          = module.edge.alb_arn_suffix
    target_group_arn_suffix = module.edge.target_group_arn_suffix
    distribution_id         = module.edge.distribution_id
    web_acl_arn             = module.edge.web_acl_arn
  }

  fl_front = {
    nlb_arn_suffixes          = module.fl_ingress.nlb_arn_suffixes
    target_group_arn_suffixes = module.fl_ingress.target_group_arn_suffixes
  }

  providers = {
    aws           = aws
    aws.us_east_1 = aws.us_east_1
  }
}
