# Copy this file to stag.tfvars and prod.tfvars beside it: environments differ in their data and in nothing else.

environment = "stag"

# The account and region of the environment. Another account's profile is refused before anything is made.
account_id = "123456789012"
region     = "eu-west-2"

# The name people and trusts dial, and the public Route 53 zone it is in, which exists already.
domain = "flip.example.org"
zone   = "example.org"

# Two or three availability zones. A NAT gateway in each (the default) outlives the loss of one; `one` is cheaper.
network = {
  cidr  = "10.20.0.0/16"
  zones = ["eu-west-2a", "eu-west-2b"]
  nat   = "one"
}

# The authority of RDS's certificates: https://truststore.pki.rds.amazonaws.com/eu-west-2/eu-west-2-bundle.pem
database = {
  engine_version = "17"
  instance_class = "db.t4g.medium"
  ca_file        = "eu-west-2-bundle.pem"
  multi_az       = false
}

# The release, by digest: `docker buildx imagetools inspect IMAGE` shows it. An upgrade is two other digests.
images = {
  hub       = "123456789012.dkr.ecr.eu-west-2.amazonaws.com/flip/hub@sha256:1111111111111111111111111111111111111111111111111111111111111111"
  fl_server = "123456789012.dkr.ecr.eu-west-2.amazonaws.com/flip/fl-server@sha256:2222222222222222222222222222222222222222222222222222222222222222"
}

# One FL server for each net, with a host name of its own; trusts dial it at port 443.
nets = {
  net1 = { host = "fl.flip.example.org" }
}

# Who is told of alarms, and the month's budget in US dollars.
emails     = ["hub-operators@example.org"]
budget_usd = 1500

# Fewer tasks than the default (2 to 6) for an environment that nobody waits for.
hub = { min = 1, max = 2 }

# What else can be said stands in variables.tf, each with its default.
