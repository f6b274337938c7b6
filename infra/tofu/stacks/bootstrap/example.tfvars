# Copy this file to stag.tfvars and prod.tfvars beside it: environments differ in their data and in nothing else.

# The account and region of the environment. Another account's profile is refused before anything is made.
account_id = "123456789012"
region     = "eu-west-2"

# What CI's tokens say in `sub`, to the letter. For GitHub Actions: a job that names `environment: stag` has the
# last one, whatever its branch, so let that environment ask for a review.
ci_subjects = {
  plan  = ["repo:example/flip:pull_request"]
  apply = ["repo:example/flip:environment:stag"]
}

# First part of every name; flip unless you say otherwise.
# project = "flip"

# How long older states and access logs are kept.
# old_versions = { days = 90, keep = 20 }
# log_days     = 365
