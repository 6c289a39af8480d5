"""The machine that an offline folder is for: what pip and the markers of requirements call it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from train.errors import ConfigError

_OLDEST_PYTHON = 11
_OLDEST_GLIBC = 5  # manylinux1 is manylinux_2_5
_PLATFORM = re.compile(
    r"(?P<windows>win)_(?P<win_machine>amd64|arm64)"
    r"|manylinux_2_(?P<glibc>\d+)_(?P<linux_machine>x86_64|aarch64)"
    r"|macosx_\d+_\d+_(?P<mac_machine>x86_64|arm64)"
)


@dataclass(frozen=True, slots=True)
class Target:
    """A platform and a Python version.

    Attributes:
        platform: as wheels name it, such as win_amd64.
        python: such as 3.11.

    Raises:
        ConfigError: a platform or a version that no wheel of ours is for.
    """

    platform: str
    python: str

    def __post_init__(self) -> None:
        if not _PLATFORM.fullmatch(self.platform):
            raise ConfigError(
                f"--platform {self.platform}: expected win_amd64, manylinux_2_28_x86_64, macosx_11_0_arm64 or the like"
            )
        version = re.fullmatch(r"3\.(\d{1,2})", self.python)
        if not version or int(version[1]) < _OLDEST_PYTHON:
            raise ConfigError(
                f"--python {self.python}: expected 3.{_OLDEST_PYTHON} or later, such as 3.{_OLDEST_PYTHON}"
            )

    def __str__(self) -> str:
        return f"{self.platform} and Python {self.python}"

    @property
    def is_windows(self) -> bool:
        """Whether the folder is for Windows."""
        return self.platform.startswith("win")

    def pip_options(self) -> list[str]:
        """What makes `pip download` choose wheels for this machine; older glibc is named too, since pip asks for exact tags."""
        platforms = [self.platform]
        if found := re.match(r"manylinux_2_(\d+)_(\w+)", self.platform):
            older = range(int(found[1]), _OLDEST_GLIBC - 1, -1)
            platforms = [f"manylinux_2_{n}_{found[2]}" for n in older] + [f"manylinux2014_{found[2]}"]
        chosen = [f"--platform={name}" for name in platforms]
        return ["--only-binary=:all:", *chosen, f"--python-version={self.python}", "--implementation=cp"]

    def marker_environment(self) -> dict[str, str]:
        """The values that requirement markers are compared with on this machine (PEP 508)."""
        found = _PLATFORM.fullmatch(self.platform)
        parts = found.groupdict() if found else {}
        if parts["windows"]:
            system = {"os_name": "nt", "sys_platform": "win32", "platform_system": "Windows"}
            machine = parts["win_machine"].upper()
        elif parts["glibc"]:
            system = {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux"}
            machine = parts["linux_machine"]
        else:
            system = {"os_name": "posix", "sys_platform": "darwin", "platform_system": "Darwin"}
            machine = parts["mac_machine"]
        return system | {
            "platform_machine": machine,
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_version": "",
        }
