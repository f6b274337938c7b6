"""What hub and trust share: wire models, envelope, keys, logs, settings. Imports no sibling."""

__version__ = "0.1.0"
