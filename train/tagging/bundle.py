"""A bundle: the folder that holds a tagger. This module knows its layout and checks it; it needs no torch.

    config.json model.safetensors tokenizer.json    opens in transformers (AutoModelForSequenceClassification)
    model.onnx                                      opens in onnxruntime and OpenVINO
    taxonomy.yaml thresholds.json windows.json      what the logits mean, where to cut, how items become windows
    metrics.json config.yaml split.json             what was measured, with which settings, on which plans
    out_of_fold.jsonl                               scores of the training items from networks that had not seen their plans
    learned.ids                                     items that the network has learned, by their content
    README.md curves.png                            for people
    digests.json                                    SHA-256 of every other file

`Bundle.open` checks every file that digests.json names before it loads one, and refuses what could bring code or reach outside the folder;
`seal` writes the digests. They tell damage and tampering, not who made a bundle: whoever writes all files anew writes the digests, too.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from train.errors import BundleError
from train.resources import resource
from train.tagging.windows import WindowShape
from train.taxonomy import Taxonomy

MODEL, TOKENIZER, TAXONOMY, THRESHOLDS = "model.onnx", "tokenizer.json", "taxonomy.yaml", "thresholds.json"
WINDOWS, METRICS, SPLIT, DIGESTS, CARD, SETTINGS, OUT_OF_FOLD, LEARNED = (
    "windows.json", "metrics.json", "split.json", "digests.json", "README.md", "config.yaml", "out_of_fold.jsonl", "learned.ids",
)  # fmt: skip
LOGITS, STATES = "logits", "states"  # outputs of the network: the hidden states are what its head makes the logits of
_NEEDED = (MODEL, TOKENIZER, TAXONOMY, THRESHOLDS, WINDOWS, DIGESTS)
_MAX_BYTES = {MODEL: 2 << 30, "model.safetensors": 8 << 30}  # ONNX ends at 2 GiB without files beside it
_MAX_OTHER = 256 << 20
# Weights and code that a tampered folder could bring along; nothing here opens them, and other tools may.
_FOREIGN = frozenset(
    (
        ".bin",
        ".ckpt",
        ".data",
        ".dll",
        ".h5",
        ".joblib",
        ".onnx",
        ".pickle",
        ".pkl",
        ".pt",
        ".pth",
        ".py",
        ".safetensors",
        ".so",
    )
)
_EXTERNAL = re.compile(rb"\x0a\x08location\x12")  # in ONNX, the key of the entry that names a file with weights
_MAX_TOKENS = 8_192


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
        _check(folder, digests)
        taxonomy = Taxonomy.load(folder / TAXONOMY)
        cuts = _read_json(folder / THRESHOLDS)
        if list(cuts) != taxonomy.keys:
            raise BundleError(
                f"{folder}: thresholds.json is for {', '.join(cuts)}, the taxonomy has {', '.join(taxonomy.keys)}"
            )
        if odd := [key for key, cut in cuts.items() if not isinstance(cut, (int, float)) or not 0 <= cut <= 1]:
            raise BundleError(
                f"{folder}: thresholds.json has no number from 0 to 1 for {', '.join(odd)}; copy it again"
            )
        shape = _shape(folder)
        version = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()[:12]
        return cls(folder, taxonomy, tuple(float(v) for v in cuts.values()), shape, version)


def _check(folder: Path, digests: dict[str, Any]) -> None:
    """Refuses a folder that is not as it was sealed, before anything in it is loaded.

    Raises:
        BundleError: naming all files that are altered, missing, foreign, linked or too large.
    """
    again = "copy the bundle again or retrain"
    if odd := [name for name in digests if name != Path(name).name or name in ("", ".", "..") or "\\" in name]:
        raise BundleError(f"{folder}: digests.json names files outside the folder ({odd[0][:80]!r}); {again}")
    if unlisted := [name for name in _NEEDED[:-1] if name not in digests]:
        raise BundleError(f"{folder}: digests.json lacks {', '.join(unlisted)}; {again}")
    if missing := [name for name in digests if not (folder / name).is_file()]:
        raise BundleError(
            f"{folder}: not a whole bundle, {', '.join(missing)} missing; copy the folder again or retrain"
        )
    inside = folder.resolve()
    if linked := [name for name in digests if (folder / name).resolve().parent != inside]:
        raise BundleError(f"{folder}: {', '.join(linked)} is a link out of the folder; copy the files themselves")
    if foreign := sorted(p.name for p in folder.iterdir() if p.suffix.lower() in _FOREIGN and p.name not in digests):
        raise BundleError(f"{folder}: {', '.join(foreign)} does not belong to the bundle; remove it, or {again}")
    if large := [name for name in digests if (folder / name).stat().st_size > _MAX_BYTES.get(name, _MAX_OTHER)]:
        raise BundleError(f"{folder}: {', '.join(large)} is larger than any bundle has it; {again}")
    if altered := [name for name, digest in digests.items() if digest != file_digest(folder / name)]:
        raise BundleError(
            f"{folder}: {', '.join(altered)} differs from digests.json; the bundle was altered or damaged, copy it again"
        )
    if _names_other_files(folder / MODEL):
        raise BundleError(f"{folder}: {MODEL} takes its weights from other files, which a bundle never does; {again}")


def _names_other_files(model: Path) -> bool:
    with model.open("rb") as file:
        if not model.stat().st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return bool(_EXTERNAL.search(content))


def _shape(folder: Path) -> WindowShape:
    """The shape of the windows.

    Raises:
        BundleError: for other fields than this version knows, or sizes that no network has.
    """
    data = _read_json(folder / WINDOWS)
    try:
        shape = WindowShape(**data)
    except TypeError as error:
        raise BundleError(f"{folder}: windows.json is of another version ({error})") from None
    numbers = [getattr(shape, each.name) for each in fields(shape) if each.name != "headings"]
    if not all(isinstance(n, int) and 0 <= n < 1 << 31 for n in numbers) or not 3 < shape.max_length <= _MAX_TOKENS:
        raise BundleError(f"{folder}: windows.json has sizes that no network has; copy the bundle again or retrain")
    return shape


def bundle_folder(path: str) -> Path:
    """A folder as it was given, relative to the working folder or, where there is none, among what is shipped."""
    return Path(path) if Path(path).is_dir() else resource(path)


def measured_plans(folder: Path) -> set[str]:
    """Names of the plans that a bundle's F1 was measured on, or that of one it went on from; none where it does not say."""
    split = _read_json(folder / SPLIT) if (folder / SPLIT).is_file() else {}
    named = [split.get(part) for part in ("test", "measured_before")]
    return {str(name) for names in named if isinstance(names, list) for name in names}


def learned_items(folder: Path) -> set[str]:
    """Content ids of the items that a bundle has learned, those of bundles it went on from and rehearsed ones among them.

    Bundles of before name only the items of their out-of-fold scores; none where neither file is there.
    """
    try:
        if (folder / LEARNED).is_file():
            return set((folder / LEARNED).read_text(encoding="utf-8").split())
        lines = (folder / OUT_OF_FOLD).read_text(encoding="utf-8").splitlines()
        return {str(json.loads(line)["item"]) for line in lines}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


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


def latest_run(holding: str = DIGESTS) -> Path | None:
    """The bundle that was finished last under `models/runs` of the working folder or the checkout, of those in which a certain file holds something."""
    folders = dict.fromkeys([Path("models/runs"), resource("models") / "runs"])
    runs = [f for folder in folders if folder.is_dir() for f in folder.iterdir() if (f / DIGESTS).is_file()]
    runs = [f for f in runs if (f / holding).is_file() and (f / holding).stat().st_size]
    return max(runs, key=lambda f: (f / DIGESTS).stat().st_mtime, default=None)


def seal(folder: Path, names: Iterable[str]) -> None:
    """Writes digests.json over the named files; the last step of writing a bundle."""
    digests = {name: file_digest(folder / name) for name in sorted(names) if (folder / name).is_file()}
    part = folder / f"{DIGESTS}.part"  # a disk may be full by now, and whoever finds digests takes the bundle for whole
    part.write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")
    part.replace(folder / DIGESTS)


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MAX_OTHER:
        raise BundleError(
            f"{path.parent}: {path.name} is larger than any bundle has it; copy the bundle again or retrain"
        )
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise BundleError(f"{path}: not readable as JSON; copy the bundle again or retrain") from None
    if not isinstance(data, dict):
        raise BundleError(f"{path}: expected a JSON object; copy the bundle again or retrain")
    return data
