module "state_backend" {
  source       = "../../modules/state_backend"
  project      = var.project
  environment  = var.environment
  account_id   = var.account_id
  region       = var.region
  old_versions = var.old_versions
  log_days     = var.log_days
}

module "ci_identity" {
  source            = "../../modules/ci_identity"
  project           = var.project
  environment       = var.environment
  account_id        = var.account_id
  issuer            = var.ci_issuer
  subjects          = var.ci_subjects
  apply_policy_arns = var.ci_apply_policy_arns

  state = {
    bucket_arn = module.state_backend.bucket_arn
    key_arn    = module.state_backend.key_arn
  }
}
