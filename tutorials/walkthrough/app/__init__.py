"""The walkthrough app."""
