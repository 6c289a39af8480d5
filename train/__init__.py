"""yaodian: the numbered items of Chinese health commissions' work plans, tagged with themes.

Public names: `read_plan` (a document to a `Plan` of `Item`s) and `Tagger` (a bundle that tags plans, files or texts). They load on
first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from train.plans import Item, Plan, read_plan
    from train.tagging import Tagger

__version__ = "0.1.0"
__all__ = ["Item", "Plan", "Tagger", "read_plan"]


def __getattr__(name: str) -> Any:
    if name in ("Item", "Plan", "read_plan"):
        from train import plans

        return getattr(plans, name)
    if name == "Tagger":
        from train.tagging import Tagger

        return Tagger
    raise AttributeError(f"module 'train' has no attribute {name!r}")
