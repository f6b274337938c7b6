"""flipctl: every verb an operator, an app author or a contributor needs."""
