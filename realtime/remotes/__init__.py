"""Remotes: OSC, MIDI controllers and OBS play on the desk.

Each is an extra of its own, and its module is imported only when asked for; `realtime.remotes.opening` does that.
"""

from __future__ import annotations

from typing import Any, Protocol

OSC_HOST = "127.0.0.1"
OBS_URL, OBS_PASSWORD = "ws://127.0.0.1:4455", "BRUSHCAST_OBS_PASSWORD"  # the latter is a variable of the environment


class Learner(Protocol):
    """A remote that can be taught what moves what; see `realtime.remotes.midi.Midi`. For any thread."""

    def learn(self, target: str) -> None: ...

    def cancel(self) -> None: ...

    def forget(self, target: str) -> None: ...

    def state(self) -> dict[str, Any]: ...
