"""The hub: coordinates trusts, projects and federated jobs. A folder is a domain (design, section 2)."""
