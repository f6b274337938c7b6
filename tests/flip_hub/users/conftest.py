"""Fixtures these tests share with the other domains."""

from hub_world import world

__all__ = ["world"]
