"""The Flower backend: SuperLink and front at the hub, SuperNode at a site, and the hooks in app processes."""
