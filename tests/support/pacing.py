"""The service's pace of commits, as docs/protocol.md has it: what the post office asks before it takes one."""

from __future__ import annotations

from dataclasses import dataclass, field

GROUP_GAP, DEVICE_GAP = 2_000, 60_000
"""Milliseconds between commits that change no roster: of a group, of a device."""
PAUSE, PAUSE_GAP = 500, 10_000
"""Milliseconds that a pause lasts; between two that a device asks for."""


@dataclass
class Pacing:
    """What the service remembers of one group's commits."""

    last: int = -DEVICE_GAP
    """When the last commit was taken that changed no roster."""
    last_of: dict[str, int] = field(default_factory=dict)
    paused_by: str = ""
    paused_until: int = 0
    last_pause_of: dict[str, int] = field(default_factory=dict)

    def wait(self, device_id: str, now: int, *, empty: bool) -> int:
        """Milliseconds until this device may commit; 0 takes it."""
        waits = [self.paused_until - now if self.paused_by != device_id else 0]
        if empty:
            waits += [
                self.last + GROUP_GAP - now,
                self.last_of.get(device_id, -DEVICE_GAP) + DEVICE_GAP - now,
            ]
        if max(waits) > 0:
            return max(waits)
        if empty:
            self.last = self.last_of[device_id] = now
        return 0

    def pause(self, device_id: str, now: int) -> int:
        """Milliseconds until this device may ask for a pause; 0 grants it."""
        waits = [self.last_pause_of.get(device_id, -PAUSE_GAP) + PAUSE_GAP - now]
        waits += [self.paused_until - now] if self.paused_by != device_id else []
        if max(waits) > 0:
            return max(waits)
        self.paused_by, self.paused_until = device_id, now + PAUSE
        self.last_pause_of[device_id] = now
        return 0
