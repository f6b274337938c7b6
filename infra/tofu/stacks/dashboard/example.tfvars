# Copy this file to stag.tfvars or prod.tfvars beside it; environments differ in their data and in nothing else.

# What names begin with. No other stack of the account has the same project and environment.
project     = "flip-dashboard"
environment = "stag"

# The account and region of the host. Another account's profile is refused before anything is made.
account_id = "123456789012"
region     = "eu-west-2"

# A public subnet: one whose route leads to an internet gateway, such as those of the default VPC.
subnet_id = "subnet-0123456789abcdef0"

# The public Route 53 zone, which exists already, and in it the names of the dashboard and of the FL server.
zone        = "example.org"
domain      = "dashboard.example.org"
server_name = "fl.example.org"

# The dashboard's project admin, whom Let's Encrypt writes to as well.
admin_email = "ops@example.org"

# Who reaches what: the dashboard and the FL server everybody (keys decide who takes part), admin consoles one network.
allowed_cidrs = {
  admin = ["192.0.2.0/24"]
}

# Public keys of those who run the playbook. Nothing listens for them in public: SSH goes through Session Manager.
operator_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExampleEx ada@example.org"]

# Who is told of alarms, and the month's budget in US dollars.
emails     = ["fl-operators@example.org"]
budget_usd = 150

# What else can be said stands in variables.tf, each with its default.
