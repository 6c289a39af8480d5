"""WordprocessingML by local names, so that transitional, strict and WPS namespaces read alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.etree import _Element

_MAX_INTEGER = 1 << 32
_OFF = ("0", "false", "off", "none")


def name(node: _Element) -> str:
    """The name of an element without its namespace."""
    return str(node.tag).rpartition("}")[2]


def children(node: _Element | None, *names: str) -> Iterator[_Element]:
    """The child elements of these names."""
    return (child for child in (node if node is not None else ()) if name(child) in names)


def child(node: _Element | None, *path: str) -> _Element | None:
    """The first descendant along a path of names."""
    for step in path:
        node = next(children(node, step), None)
    return node


def attribute(node: _Element | None, key: str) -> str | None:
    """An attribute, in whatever namespace."""
    if node is None:
        return None
    for attr, value in node.items():
        if str(attr).rpartition("}")[2] == key:
            return str(value)
    return None


def value(node: _Element | None, *path: str) -> str | None:
    """The `val` of a descendant."""
    return attribute(child(node, *path), "val")


def integer(text: str | None, base: int = 10) -> int | None:
    """A whole number that Word's 32 bits hold, or None for anything else."""
    try:
        number = int(text, base) if text else None
    except ValueError:
        return None
    return number if number is not None and abs(number) <= _MAX_INTEGER else None


def is_on(node: _Element | None, *path: str) -> bool:
    """Whether a switch such as `<w:vanish/>` is there and not set to false."""
    found = child(node, *path)
    return found is not None and (attribute(found, "val") or "1").lower() not in _OFF
