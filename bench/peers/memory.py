"""The peak of a process's resident memory since a moment, in bytes.

On Linux the kernel's high-water mark is reset; elsewhere the mark since the start of the process
serves, which is the same for a process that has not done anything larger before.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

_RESET_PEAK = "5"
_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


def start() -> int:
    """Reset the peak where that is possible, and return where it stands."""
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        pass
    return peak()


def peak() -> int:
    """Return the peak; RuntimeError on a system that does not tell."""
    try:
        found = re.search(r"^VmHWM:\s*(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        found = None
    if found:
        return int(found[1]) * 1024
    if sys.platform == "win32":
        raise RuntimeError("peak memory is not measured on Windows")
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage if sys.platform == "darwin" else usage * 1024
