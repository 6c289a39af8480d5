"""The wheel of yaodian itself: built where it runs from a checkout, packed again from its installed files elsewhere."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.util
import io
import zipfile
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from train.errors import OfflineError
from train.offline.pip import pip
from train.resources import is_checkout

_NAME = "yaodian"
# What pip leaves in .dist-info when it installs, and RECORD, which is written anew.
_OF_THE_INSTALLATION = {"INSTALLER", "REQUESTED", "RECORD", "direct_url.json"}


def own_wheel(folder: Path) -> Path:
    """Puts the wheel of the running yaodian into `folder`.

    Raises:
        OfflineError: neither a checkout nor an installation that lists its files, or the build failed.
    """
    if is_checkout():
        return _built(folder)
    try:
        return packed(distribution(_NAME), folder)
    except PackageNotFoundError:
        raise OfflineError(f"{_NAME} is not installed and this is no checkout; type: pip install {_NAME}") from None


def _built(folder: Path) -> Path:
    from train import resources

    root = Path(resources.__file__).resolve().parent.parent
    here = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []  # else pip fetches hatchling
    pip(["wheel", "--no-deps", *here, f"--wheel-dir={folder}", str(root)], f"the wheel of {_NAME}")
    return next(folder.glob(f"{_NAME}-*.whl"))


def packed(installed: Distribution, folder: Path) -> Path:
    """Packs an installed pure-Python package into a wheel again.

    Raises:
        OfflineError: the installation does not list its files, or some of them are gone.
    """
    name = f"{_NAME}-{installed.version}-py3-none-any.whl"
    listed = [f for f in installed.files or [] if ".." not in f.parts and f.suffix != ".pyc"]
    kept = [f for f in listed if not (f.parts[0].endswith(".dist-info") and f.name in _OF_THE_INSTALLATION)]
    info = next((f.parts[0] for f in kept if f.parts[0].endswith(".dist-info")), None)
    if info is None or not any(f.parts[0] == "train" for f in kept):
        raise OfflineError(
            f"the installation of {_NAME} does not list its files; type: pip install --force-reinstall {_NAME}"
        )
    record = io.StringIO()
    lines = csv.writer(record, lineterminator="\n")
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as wheel:
        for file in kept:
            try:
                content = Path(str(file.locate())).read_bytes()
            except FileNotFoundError:
                raise OfflineError(
                    f"{file} of the installed {_NAME} is gone; type: pip install --force-reinstall {_NAME}"
                ) from None
            wheel.writestr(file.as_posix(), content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            lines.writerow([file.as_posix(), f"sha256={digest}", len(content)])
        lines.writerow([f"{info}/RECORD", "", ""])
        wheel.writestr(f"{info}/RECORD", record.getvalue())
    return folder / name
