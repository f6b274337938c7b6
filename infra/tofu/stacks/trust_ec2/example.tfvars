# Copy this file to stag.tfvars or prod.tfvars beside it; environments differ in their data and in nothing else.

# What names begin with: the trust. No other stack of the account has the same project and environment.
project     = "flip-trust"
environment = "stag"

# The account and region of the host. Another account's profile is refused before anything is made.
account_id = "123456789012"
region     = "eu-west-2"

# A private subnet with a way out by NAT, of the network that has the link to the hospital. Its zone must offer the type.
subnet_id = "subnet-0123456789abcdef0"

# What jobs need: the smallest EC2 type that has this is taken. A card that is sold with 24 GB has 22 GiB.
gpus          = 1
gpu_memory_gb = 22
memory_gb     = 32

# GiB at /opt/flip: records, images, workspaces.
data_gb = 200

# Public keys of those who run the playbook. Nothing listens for them in public: SSH goes through Session Manager.
operator_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExampleEx ada@example.org"]

# The hub, as its ADMIN tells you with the kit.
hub_url   = "https://flip.example.org/api"
fl_server = "fl.flip.example.org:443"

# What the host's firewall lets through beside these: here Ubuntu's mirrors, Docker's packages and a registry.
firewall_outbound = [
  { to = "eu-west-2.ec2.archive.ubuntu.com", port = 80 },
  { to = "security.ubuntu.com", port = 80 },
  { to = "download.docker.com", port = 443 },
  { to = "registry.example.org", port = 443 },
]

# The hospital's PACS may send images.
ingress = {
  pacs = { port = 11112, cidrs = ["10.1.20.4/32"] }
}

# Who is told of alarms, and the month's budget in US dollars.
emails     = ["trust-operators@example.org"]
budget_usd = 1200

# What else can be said stands in variables.tf, each with its default.
