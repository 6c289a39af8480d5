"""Where the folders that travel with the package are: beside it in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource(name: str) -> Path:
    """The folder or file `name` (such as `configs` or `labels/taxonomy.yaml`) of the installation.

    A checkout keeps it at the top level, the wheel under `train/`. The path is returned whether or not it exists.
    """
    inside = _PACKAGE / name
    return inside if inside.exists() else _PACKAGE.parent / name


def is_checkout() -> bool:
    """Whether the package runs from a source tree, whose `models/runs` may be written."""
    return (_PACKAGE.parent / "pyproject.toml").is_file()
