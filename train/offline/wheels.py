"""The wheels that another machine needs: every requirement of a requirement, as its markers read there, in the versions that run here."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from email.parser import HeaderParser
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name, parse_wheel_filename

from train.offline.pip import pip
from train.offline.target import Target


def download(own: Path, target: Target) -> None:
    """Downloads into the folder of the wheel `own` all that it requires on the target.

    pip compares markers with the machine it runs on, so `colorama; platform_system == "Windows"` would be left out on Linux: what is
    missing once the target's markers are compared is asked for by name, until nothing is.

    Raises:
        OfflineError: no network, no wheel for the target, a full disk.
    """
    folder = own.parent
    wanted = [str(own)]
    while wanted:
        pins = folder.parent / "pins.txt"
        pins.write_text("\n".join(_pins(folder, own)) + "\n", encoding="utf-8")
        options = [f"--dest={folder}", f"--constraint={pins}", *target.pip_options()]
        pip(["download", "--progress-bar=off", *options, *wanted], "wheels", str(target))
        pins.unlink()
        wanted = sorted(str(r) for r in _missing(folder, own, target))


def _missing(folder: Path, own: Path, target: Target) -> list[Requirement]:
    """What the wheels of the folder require on the target and the folder lacks."""
    requires = {canonicalize_name(parse_wheel_filename(w.name)[0]): _requires(w) for w in folder.glob("*.whl")}
    name = parse_wheel_filename(own.name)[0]
    environment = target.marker_environment()
    seen: set[tuple[NormalizedName, frozenset[str]]] = set()
    missing: dict[NormalizedName, Requirement] = {}
    waiting = [(name, frozenset[str]())]
    while waiting:
        key, extras = waiting.pop()
        if (key, extras) in seen:
            continue
        seen.add((key, extras))
        for requirement in _applying(requires[key], environment, extras):
            needed = canonicalize_name(requirement.name)
            if needed in requires:
                waiting.append((needed, frozenset(requirement.extras)))
            else:
                requirement.marker = None
                missing.setdefault(needed, requirement)
    return list(missing.values())


def _applying(requirements: Iterable[str], environment: dict[str, str], extras: Iterable[str]) -> list[Requirement]:
    parsed = [Requirement(text) for text in requirements]
    chosen = ["", *extras]
    return [r for r in parsed if r.marker is None or any(r.marker.evaluate(environment | {"extra": e}) for e in chosen)]


def _requires(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA") and n.count("/") == 1)
        return HeaderParser().parsestr(archive.read(name).decode()).get_all("Requires-Dist") or []


def _pins(folder: Path, own: Path) -> list[str]:
    """`name==version` of what is in the folder and of what runs here: the target gets versions that were seen to work."""
    pins = {parse_wheel_filename(w.name)[0]: str(parse_wheel_filename(w.name)[1]) for w in folder.glob("*.whl")}
    pins.pop(parse_wheel_filename(own.name)[0])
    waiting, seen = _requires(own), set[str]()
    while waiting:
        requirement = Requirement(waiting.pop())
        name = canonicalize_name(requirement.name)
        if name in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue
        pins.setdefault(name, installed.version)
        waiting += installed.requires or []
    return [f"{name}=={version}" for name, version in sorted(pins.items())]
