"""`flipctl status`: how a trust's or a hub's host is now, and how the federation looks from the hub."""
