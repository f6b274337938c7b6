# The two front doors: CloudFront for the API and its pages, a network load balancer for FL.

module "dns" {
  source = "../../modules/dns"
  domain = var.domain
  zone   = var.zone

  providers = {
    aws           = aws
    aws.us_east_1 = aws.us_east_1
  }
}

module "edge" {
  source            = "../../modules/edge"
  project           = var.project
  environment       = var.environment
  vpc_id            = module.network.vpc_id
  vpc_cidr          = module.network.cidr
  subnet_ids        = module.network.private_subnet_ids
  domain            = var.domain
  zone_id           = module.dns.zone_id
  certificates      = module.dns.certificates
  pages_bucket      = module.storage.pages_bucket
  logs_bucket       = module.storage.logs_bucket
  long_poll_seconds = var.long_poll_seconds
  trust_key_header  = local.trust_key_header
  rate_limit        = var.rate_limit
  log_days          = var.log_days
  disposable        = var.disposable

  providers = {
    aws           = aws
    aws.us_east_1 = aws.us_east_1
  }
}

module "fl_ingress" {
  source        = "../../modules/fl_ingress"
  project       = var.project
  environment   = var.environment
  vpc_id        = module.network.vpc_id
  vpc_cidr      = module.network.cidr
  subnet_ids    = module.network.public_subnet_ids
  zone          = var.zone
  zone_id       = module.dns.zone_id
  nets          = { for name, net in var.nets : name => { host = net.host, port = net.port } }
  allowed_cidrs = var.fl_allowed_cidrs
  logs_bucket   = module.storage.logs_bucket
  disposable    = var.disposable
}

resource "aws_s3_object" "page" {
  for_each = fileset("${path.module}/pages", "*.html")

  bucket        = module.storage.pages_bucket.name
  key           = each.key
  source        = "${path.module}/pages/${each.key}"
  source_hash   = filemd5("${path.module}/pages/${each.key}")
  content_type  = "text/html; charset=utf-8"
  cache_control = "public, max-age=300"
}
