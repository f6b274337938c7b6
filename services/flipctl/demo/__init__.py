"""`flipctl demo`: a hub and two trusts on one machine, played through from sign-in to results."""
