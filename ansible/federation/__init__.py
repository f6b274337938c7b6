"""`make federation`: a hub and two trusts on bare hosts of one machine, provisioned by the real playbooks.

Run as `python -m federation` in `ansible/`; docs/federation.md says what it shows.
"""
