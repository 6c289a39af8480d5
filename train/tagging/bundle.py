"""A bundle: the folder that holds a tagger. This module knows its layout and checks it; it needs no torch.

    config.json model.safetensors tokenizer.json    opens in transformers (AutoModelForSequenceClassification)
    model.onnx                                      opens in onnxruntime and OpenVINO
    taxonomy.yaml thresholds.json windows.json      what the logits mean, where to cut, how items become windows
    metrics.json config.yaml split.json             what was measured, with which settings, on which plans
    out_of_fold.jsonl                               scores of the training items from networks that had not seen their plans
    README.md curves.png                            for people
    digests.json                                    SHA-256 of every other file

`Bundle.open` checks the digests of what it reads; `seal` writes them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.errors import BundleError
from train.resources import resource
from train.tagging.windows import WindowShape
from train.taxonomy import Taxonomy

MODEL, TOKENIZER, TAXONOMY, THRESHOLDS = "model.onnx", "tokenizer.json", "taxonomy.yaml", "thresholds.json"
WINDOWS, METRICS, SPLIT, DIGESTS, CARD, SETTINGS, OUT_OF_FOLD = (
    "windows.json", "metrics.json", "split.json", "digests.json", "README.md", "config.yaml", "out_of_fold.jsonl",
)  # fmt: skip
_NEEDED = (MODEL, TOKENIZER, TAXONOMY, THRESHOLDS, WINDOWS, DIGESTS)


@dataclass(frozen=True, slots=True)
class Bundle:
    """What tagging needs to know besides the weights.

    Attributes:
        folder: where the bundle lies.
        taxonomy: themes in the order of the logits.
        thresholds: cut of each theme's score, in taxonomy order, in [0, 1].
        shape: of the windows.
        version: first 12 digits of the SHA-256 over the digests; names the bundle in reports.
    """

    folder: Path
    taxonomy: Taxonomy
    thresholds: tuple[float, ...]
    shape: WindowShape
    version: str

    @classmethod
    def open(cls, folder: str | Path | None = None) -> Bundle:
        """Opens a bundle and checks the digests of the files that tagging reads.

        Args:
            folder: the bundle; None for the shipped one, or the latest run where none is shipped.

        Raises:
            BundleError: missing, incomplete, or altered since it was written.
        """
        folder = default_bundle() if folder is None else Path(folder)
        if not folder.is_dir():
            raise BundleError(
                f"{folder}: no such bundle; give the folder of a run, --model models/runs/…, or make one with `python -m train`"
            )
        if missing := [name for name in _NEEDED if not (folder / name).is_file()]:
            raise BundleError(
                f"{folder}: not a whole bundle, {', '.join(missing)} missing; copy the folder again or retrain"
            )
        digests = _read_json(folder / DIGESTS)
        if altered := [n for n in _NEEDED[:-1] if digests.get(n) != file_digest(folder / n)]:
            raise BundleError(
                f"{folder}: {', '.join(altered)} differs from digests.json; the bundle was altered or damaged, copy it again"
            )
        taxonomy = Taxonomy.load(folder / TAXONOMY)
        cuts = _read_json(folder / THRESHOLDS)
        if list(cuts) != taxonomy.keys:
            raise BundleError(
                f"{folder}: thresholds.json is for {', '.join(cuts)}, the taxonomy has {', '.join(taxonomy.keys)}"
            )
        try:
            shape = WindowShape(**_read_json(folder / WINDOWS))
        except TypeError as error:
            raise BundleError(f"{folder}: windows.json is of another version ({error})") from None
        version = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()[:12]
        return cls(folder, taxonomy, tuple(float(v) for v in cuts.values()), shape, version)


def default_bundle() -> Path:
    """The shipped bundle, else the latest run under `models/runs` of the working folder or the checkout.

    Raises:
        BundleError: neither is there.
    """
    shipped = resource("models") / "starter"
    if (shipped / MODEL).is_file():
        return shipped
    latest = latest_run()
    if latest is None:
        raise BundleError(
            "no bundle is shipped and none was trained yet; run `make train`, or give one with --model DIR"
        )
    return latest


def latest_run() -> Path | None:
    """The bundle that was finished last under `models/runs` of the working folder or the checkout."""
    folders = dict.fromkeys([Path("models/runs"), resource("models") / "runs"])
    runs = [f for folder in folders if folder.is_dir() for f in folder.iterdir() if (f / DIGESTS).is_file()]
    return max(runs, key=lambda f: (f / DIGESTS).stat().st_mtime, default=None)


def seal(folder: Path, names: Iterable[str]) -> None:
    """Writes digests.json over the named files; the last step of writing a bundle."""
    digests = {name: file_digest(folder / name) for name in sorted(names) if (folder / name).is_file()}
    (folder / DIGESTS).write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise BundleError(f"{path}: not readable as JSON; copy the bundle again or retrain") from None
    if not isinstance(data, dict):
        raise BundleError(f"{path}: expected a JSON object; copy the bundle again or retrain")
    return data
