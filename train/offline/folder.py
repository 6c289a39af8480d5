"""The offline folder: everything put together, complete or not there at all.

README.txt               for people, Chinese first
install.bat install.sh   find Python and hand over to install.py, which checks every file and makes the environment `env`
tag.bat tag.sh           tag what lies in `plans` into tagged.xlsx
wheels/ bundle/ plans/   packages, the tagger, a sample plan
kit.json SHA256SUMS      what the folder is for; SHA-256 of every other file
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from train.errors import OutputError
from train.offline.own_wheel import own_wheel
from train.offline.target import Target
from train.offline.wheels import download
from train.resources import resource
from train.tagging.bundle import DIGESTS, Bundle, file_digest
from train.tagging.writers.part import reported

_KIT = Path(__file__).resolve().parent / "kit"
_PYTHON = "@PYTHON@"


def make_folder(folder: Path, model: Path | None, target: Target) -> int:
    """Makes the folder for one kind of machine.

    Args:
        folder: must not exist, or be empty.
        model: a bundle; None for the shipped one.
        target: the machines that will install from it.

    Returns:
        Bytes of all its files.

    Raises:
        OutputError: a folder that is not empty or cannot be written, a full disk.
        OfflineError: wheels cannot be had.
        BundleError: the bundle is missing or altered.
    """
    bundle = Bundle.open(model)
    with _appearing(folder) as part:
        wheels = part / "wheels"
        wheels.mkdir()
        own = own_wheel(wheels)
        download(own, target)
        _copy_bundle(bundle, part / "bundle")
        (part / "plans").mkdir()
        shutil.copy(resource("data") / "sample" / "sample.txt", part / "plans")
        _write_kit(part, target, own.name)
        names = sorted(p.relative_to(part).as_posix() for p in part.rglob("*") if p.is_file())
        sums = "".join(f"{file_digest(part / name)}  {name}\n" for name in names)
        (part / "SHA256SUMS").write_text(sums, encoding="utf-8", newline="\n")
        return sum(p.stat().st_size for p in part.rglob("*") if p.is_file())


def _copy_bundle(bundle: Bundle, to: Path) -> None:
    """The files that belong to the bundle; the folder of a run holds checkpoints and logs too."""
    to.mkdir()
    names = {DIGESTS, *json.loads((bundle.folder / DIGESTS).read_text(encoding="utf-8"))}
    for file in bundle.folder.iterdir():
        if file.name in names:
            shutil.copy(file, to)


def _write_kit(part: Path, target: Target, wheel: str) -> None:
    """The texts, with the line ends that their readers expect."""
    for source in sorted(_KIT.glob("*.*")):
        text = source.read_text(encoding="utf-8").replace(_PYTHON, target.python)
        if source.suffix == ".bat":  # cmd loses its place in files with bare line feeds
            (part / source.name).write_text(text, encoding="ascii", newline="\r\n")
        elif source.suffix == ".txt":  # with the mark by which every Notepad knows UTF-8
            (part / source.name).write_text(text, encoding="utf-8-sig", newline="\r\n")
        else:
            (part / source.name).write_text(text, encoding="utf-8", newline="\n")
        if source.suffix == ".sh":
            (part / source.name).chmod(0o755)
    kit = {"python": target.python, "platform": target.platform, "wheel": wheel}
    (part / "kit.json").write_text(json.dumps(kit, indent=1) + "\n", encoding="utf-8")


@contextlib.contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` that takes its name when the block ends well and is deleted otherwise."""
    folder = folder.absolute()
    with reported(folder):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise OutputError(f"{folder}: exists and is not an empty folder; give another name")
        if not folder.parent.is_dir():
            raise OutputError(f"{folder}: the folder {folder.parent} does not exist; create it or choose another")
        part = Path(tempfile.mkdtemp(prefix=".offline.", dir=folder.parent))
        try:
            part.chmod(0o755)
            yield part
            if folder.exists():
                folder.rmdir()
            part.rename(folder)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
