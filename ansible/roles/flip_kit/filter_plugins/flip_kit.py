"""Env files of a kit as values by name."""


def values(texts):
    """Names and values of env files as flipctl writes them: NAME=VALUE, a line each, nothing quoted."""
    lines = [line for text in texts for line in text.splitlines() if line]
    return dict(line.split("=", 1) for line in lines)


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Name to function."""
        return {"flip_kit_values": values}
