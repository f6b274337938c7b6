"""`flipctl hub`: the stacks of a hub on AWS, around OpenTofu or Terraform."""


class HubError(Exception):
    """What went wrong, and what to do; for the reader of the command line."""
