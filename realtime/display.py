"""Whether a window can be opened here, found out without risking the program: Qt ends the process if it cannot."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2

_PROBE = "import cv2; cv2.namedWindow('brushcast'); cv2.waitKey(1); cv2.destroyAllWindows()"
_PROBE_TIMEOUT_S = 20.0
ADVICE = "use --to FILE.mp4 to record instead"


def why_no_display() -> str | None:
    """None if a window can be opened; otherwise why not, and what would help, in a line."""
    if not has_windows():
        return "this OpenCV was built without windows (opencv-python-headless); install opencv-python instead"
    if sys.platform == "linux":
        display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        if not display:
            return f"there is no display (DISPLAY and WAYLAND_DISPLAY are not set); {ADVICE}"
        if not _probe():
            return f"the display {display} cannot be opened; {ADVICE}"
    return None


def has_windows() -> bool:
    """Whether OpenCV was built with a window system at all."""
    for line in cv2.getBuildInformation().splitlines():
        if line.strip().startswith("GUI:"):
            return line.partition(":")[2].strip().upper() not in ("NONE", "NO")
    return True


def _probe() -> bool:
    """Open a window in a process of its own: a display that refuses would abort ours."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
