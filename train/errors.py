"""Every error a user can cause, drawn as a tree. The message is one line: what failed, what was expected, what to do.

YaodianError                 the user's fault; the commands print it on stderr and exit with 2
├── InputError               one file that cannot be read as a plan; a batch names it and goes on
│   ├── UnsupportedFormat    an extension no reader takes (.doc, .wps, pictures …)
│   ├── BrokenFile           damaged, not what its name says, or hostile (zip bomb, entities)
│   ├── EncryptedFile        asks for a password
│   ├── NoText               empty, or a scan: pictures of text
│   └── TooLarge             beyond the limit that keeps an office PC alive
├── RowError                 an annotated row that breaks the row contract
├── TaxonomyError            a taxonomy file that breaks its own rules
├── ConfigError              a training setting out of its range
├── SplitError               plans cannot be split as asked
├── EncoderError             an encoder that is not there or is not a BERT-like checkpoint
├── BundleError              a bundle with a missing, foreign or altered file
├── LabelStudioError         Label Studio that does not answer, refuses, or holds something else than expected
├── OutputError              an output that cannot be written
├── OfflineError             a folder for offline PCs whose wheels cannot be had
├── ClusterError             a Ray cluster that does not answer or fails
└── MissingExtra             a feature whose optional packages are not installed
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

# Line ends, controls, marks that turn the direction of writing, halves of characters.
_UNSHOWN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


def shown(name: object) -> str:
    """A name from a stranger's disk on one line, with escapes for line ends and other characters that hide themselves."""
    text = str(name)
    if text.isprintable():
        return text
    return "".join(ascii(c)[1:-1] if unicodedata.category(c) in _UNSHOWN else c for c in text)


def listed(faults: Sequence[object], between: str = "; ", most: int = 20) -> str:
    """Many faults on one line that can still be read: the first of them, and how many more there are."""
    said = between.join(map(str, faults[:most]))
    return f"{said}{between}and {len(faults) - most} more" if len(faults) > most else said


class YaodianError(Exception):
    """Base of all errors that a user can mend; `str()` is one line."""


class InputError(YaodianError):
    """A file that cannot be read as a plan.

    Attributes:
        path: the file as it was given.
        reason: what is wrong and what to do, without the path.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{shown(path)}: {reason}")
        self.path = Path(path)
        self.reason = reason


class UnsupportedFormat(InputError):
    """No reader takes this extension."""


class BrokenFile(InputError):
    """Damaged, mislabelled or hostile content."""


class EncryptedFile(InputError):
    """The file asks for a password."""


class NoText(InputError):
    """Nothing to read: empty, or pictures only."""


class TooLarge(InputError):
    """Larger than the reader's limit."""


class RowError(YaodianError):
    """Rows that break the row contract; all faults of one file are named at once."""


class TaxonomyError(YaodianError):
    """A taxonomy file that breaks its rules."""


class ConfigError(YaodianError):
    """A training setting out of its range."""


class SplitError(YaodianError):
    """Plans that cannot be split as asked."""


class EncoderError(YaodianError):
    """An encoder that cannot be loaded."""


class BundleError(YaodianError):
    """A bundle that is incomplete, foreign or altered."""


class LabelStudioError(YaodianError):
    """Label Studio that does not answer, refuses, or holds something else than expected."""


class OutputError(YaodianError):
    """An output that cannot be written."""


class OfflineError(YaodianError):
    """A folder for offline PCs that cannot be made: no network, no pip, no wheel for that machine."""


class ClusterError(YaodianError):
    """A Ray cluster that does not answer, or fails."""


class MissingExtra(YaodianError):
    """A feature whose optional packages are not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature}: packages are not installed; type: pip install 'yaodian[{extra}]'")
        self.feature = feature
        self.extra = extra
