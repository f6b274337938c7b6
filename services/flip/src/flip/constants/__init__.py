"""The words an app shares with the platform."""

from flip.constants.flip_constants import ModelStatus, ResourceType

__all__ = ["ModelStatus", "ResourceType"]
