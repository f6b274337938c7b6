"""What the user sees while the demo runs, and how long each part took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console


@dataclass
class Progress:
    """Lines with the time since the start on stderr; durations of the steps by name, in seconds."""

    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False, soft_wrap=True))
    durations: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self.started

    def say(self, text: str) -> None:
        """One line."""
        self.console.print(f"[dim]{self.elapsed:6.1f} s[/dim]  {text}")

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Announces a step and records how long it took; a step that fails is named."""
        self.say(f"[bold]{name}[/bold]")
        began = time.monotonic()
        try:
            yield
        except BaseException:
            self.say(f"[red]failed:[/red] {name}")
            raise
        self.durations[name] = time.monotonic() - began
