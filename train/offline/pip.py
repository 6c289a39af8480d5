"""Runs pip, and says in one line why it failed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence

from train.errors import OfflineError

_NO_NETWORK = re.compile(
    r"Retrying|ConnectionError|ConnectTimeout|NameResolution|ProxyError|SSLError|Network is unreachable"
)
_NO_WHEEL = re.compile(
    r"(?:No matching distribution found for|that satisfies the requirement|"
    r"no matching distributions available for your environment:|The user requested \(constraint\))\s+([^\s(;]+)"
)
_FULL = re.compile(r"No space left on device|Errno 28\b|not enough space", re.IGNORECASE)


def pip(arguments: Sequence[str], what: str, wheels_for: str = "") -> None:
    """Runs `python -m pip`.

    Args:
        arguments: command and options.
        what: what pip is to bring, for messages.
        wheels_for: the machine that wheels are chosen for, likewise.

    Raises:
        OfflineError: pip is missing, or failed: no network, no wheel for the machine, a full disk, anything else.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--retries=1", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False)  # noqa: S603
    if done.returncode:
        raise OfflineError(_reason(done.stderr + done.stdout, what, wheels_for))


def _reason(said: str, what: str, wheels_for: str) -> str:
    if "No module named pip" in said:
        return "pip is missing from this Python; type: python -m ensurepip --upgrade"
    if _FULL.search(said):
        return f"{what}: the disk is full; free some space or choose another disk"
    if _NO_NETWORK.search(said):
        return f"{what}: the package index does not answer; making the folder needs a network, or pip's own settings for a mirror"
    if found := _NO_WHEEL.search(said):
        return f"{what}: there is no wheel of {found[1]} for {wheels_for}; choose another --platform or --python"
    errors = [line for line in said.splitlines() if "error" in line.lower()] or said.splitlines() or ["no reason given"]
    return f"{what}: pip failed ({errors[0].strip()[:200]})"
