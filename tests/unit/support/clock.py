"""Time that passes only while somebody sleeps."""

from __future__ import annotations

from collections.abc import Callable


class FakeClock:
    """A clock without waiting. What was arranged by :meth:`at` happens while somebody sleeps."""

    def __init__(self) -> None:
        self.time = 1_000_000.0
        self.events: list[tuple[float, Callable[[], None]]] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        end = self.time + max(seconds, 0.001)
        # what happens may arrange what happens later, within the same sleep as well
        while due := [event for event in self.events if event[0] <= end]:
            event = min(due, key=lambda item: item[0])
            self.events.remove(event)
            self.time = max(self.time, event[0])
            event[1]()
        self.time = max(self.time, end)

    def at(self, seconds: float, act: Callable[[], None]) -> None:
        """Let ``act`` happen ``seconds`` from now."""
        self.events.append((self.time + seconds, act))
