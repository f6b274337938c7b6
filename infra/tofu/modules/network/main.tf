locals {
  name  = "${var.project}-${var.environment}"
  zones = toset(var.zones)
  nats  = toset(var.nat == "one" ? [sort(var.zones)[0]] : var.zones)

  # A subnet's addresses follow from its zone's letter, a to h, and from nothing else: another zone moves none.
  # Half of the network is for tasks (16 parts of which 8), a quarter faces the internet, a quarter holds data.
  slots   = { for zone in var.zones : zone => index(split("", "abcdefgh"), substr(zone, -1, 1)) }
  private = { for zone, slot in local.slots : zone => cidrsubnet(var.cidr, 4, slot) }
  public  = { for zone, slot in local.slots : zone => cidrsubnet(var.cidr, 5, 16 + slot) }
  data    = { for zone, slot in local.slots : zone => cidrsubnet(var.cidr, 5, 24 + slot) }
}

data "aws_partition" "current" {}

resource "aws_vpc" "hub" {
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true # the endpoints' private names need both

  tags = { Name = local.name }
}

# AWS makes this group and gives it to whatever names none: it lets nothing in or out.
resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.hub.id

  tags = { Name = "${local.name}-default-closed" }
}

resource "aws_internet_gateway" "hub" {
  vpc_id = aws_vpc.hub.id

  tags = { Name = local.name }
}
