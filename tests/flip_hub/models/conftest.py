"""Fixtures these tests share with the other domains."""

from hub_world import fl_api, run, settings_changes, world

__all__ = ["fl_api", "run", "settings_changes", "world"]
