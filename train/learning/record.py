"""What a run's folder says of the run: the settings, and digests of all else that its result depends on. A killed run is taken up by it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from train.corpus.dataset import digest
from train.errors import ConfigError, OutputError
from train.learning.settings import TrainSettings
from train.rows import Row
from train.tagging import bundle as layout
from train.taxonomy import Taxonomy

# Change no result: how the folder is spelt, and what is shown.
_SHOWN = ("dir", "progress", "sample", "report_to")
# Whatever else lies in a folder that no run has begun in is somebody's, and would be written over.
_LOGS = (".log", ".out", ".txt")
# What an encoder or a bundle to go on from is known by; a bundle's digests cover all of its files.
_IDENTITY = (layout.DIGESTS, "model.safetensors", "pytorch_model.bin", "model.safetensors.index.json", "tokenizer.json", "vocab.txt")  # fmt: skip


def recorded(settings: TrainSettings, taxonomy: Taxonomy, rows: Sequence[Row], encoder: str | None) -> str:
    """All that a result depends on, as config.yaml holds it.

    Args:
        settings: of the run.
        taxonomy: the themes.
        rows: all that may be learned from or scored.
        encoder: folder or hub id that the network is loaded from; None for random weights.
    """
    digests = {"rows": digest(rows), "taxonomy": hashlib.sha256(taxonomy.dump().encode()).hexdigest()}
    if encoder and Path(encoder).is_dir():
        digests["encoder"] = _identity(Path(encoder))
    return str(yaml.safe_dump(settings.as_dict() | {"digests": digests}, allow_unicode=True, sort_keys=False))


def _identity(folder: Path) -> str:
    """SHA-256 over the digests of the files that say which network it is."""
    try:
        found = [layout.file_digest(folder / name) for name in _IDENTITY if (folder / name).is_file()]
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be read ({error.strerror or error})") from None
    return hashlib.sha256("".join(found).encode()).hexdigest()


def begin(record: str, folder: Path) -> None:
    """Writes the record; an unfinished run in the folder must have had the same one.

    Raises:
        ConfigError: another run, or files of somebody else, are in the folder.
        OutputError: it cannot be written.
    """
    if (folder / layout.SETTINGS).is_file():
        require_same(record, folder)
    elif os.environ.get("RANK", "0") == "0":
        part = folder / f"{layout.SETTINGS}.part"
        with reported(folder):
            folder.mkdir(parents=True, exist_ok=True)
            others = sorted(p.name for p in folder.iterdir() if p != part and not is_log(p))
            if others:
                raise ConfigError(
                    f"run.dir={folder}: holds {others[0]} and no run; choose an empty folder, or one that is not there"
                )
            part.write_text(record, encoding="utf-8")
            part.replace(folder / layout.SETTINGS)


def is_log(path: Path) -> bool:
    """Whether a file is what a user's shell may write into the folder of a run; it is no part of the bundle."""
    return path.is_file() and path.suffix in _LOGS


def is_finished(folder: Path) -> bool:
    """Whether a run ended there: the digests come last, and a disk that was full may have left them empty."""
    try:
        return (folder / layout.DIGESTS).stat().st_size > 0
    except OSError:
        return False


def require_same(record: str, folder: Path) -> None:
    """Compares a record with the one in a folder.

    Raises:
        ConfigError: they differ in what a result depends on.
    """
    try:
        before = _results_from((folder / layout.SETTINGS).read_text(encoding="utf-8"))
        now = _results_from(record)
        # Runs of before recorded no digest of the encoder.
        now["digests"] = {k: v for k, v in now["digests"].items() if k in before["digests"]}
        same = before == now
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        same = False
    if not same:
        raise ConfigError(
            f"{folder}: holds a run with other settings, other rows or another encoder (see its config.yaml); choose another run.dir or remove it"
        )


def _results_from(record: str) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(record)
    return data | {"run": {key: value for key, value in data["run"].items() if key not in _SHOWN}}


@contextmanager
def reported(folder: Path) -> Iterator[None]:
    """What cannot be written becomes an error that a user can mend; torch and safetensors raise errors of their own on a full disk."""
    from safetensors import SafetensorError

    try:
        yield
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror or error}); choose another run.dir") from None
    except (RuntimeError, SafetensorError) as error:
        if not any(sign in str(error) for sign in _FULL):
            raise
        raise OutputError(
            f"{folder}: cannot be written ({str(error).splitlines()[0][:160]}); make room, then the same command goes on"
        ) from None


_FULL = ("I/O error", "IoError", "Io(", "PytorchStreamWriter", "unexpected pos", "No space left", "File too large")
