"""What annotators said: annotations of exported tasks as readings, kept apart by annotator, and merged by a stated rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from train.labeling.tasks import CHOICES
from train.rows import Row
from train.taxonomy import NONE, Taxonomy

RULES = ("majority", "adjudicator", "all")


@dataclass(frozen=True, slots=True)
class Reading:
    """One annotator's answer about one item.

    Attributes:
        annotator: e-mail address, or the number where the server does not tell it.
        labels: theme keys in taxonomy order, empty for “none of these”.
        comment: "" if there is none.
        at: when it was last changed, ISO 8601.
    """

    annotator: str
    labels: tuple[str, ...]
    comment: str
    at: str


@dataclass(slots=True)
class ReadItem:
    """An item with all that was said about it.

    Attributes:
        tasks: numbers of its tasks on the server, mostly one.
        row: as it was pushed.
        readings: the latest answer of each annotator, by name.
        faulty: of annotators whose latest answer cannot be taken: when they gave it, and what is wrong with it.
        n_cancelled, n_drafts: skipped answers, and answers nobody submitted.
    """

    tasks: list[int]
    row: Row
    readings: dict[str, Reading] = field(default_factory=dict)
    faulty: dict[str, tuple[str, str]] = field(default_factory=dict)
    n_cancelled: int = 0
    n_drafts: int = 0

    @property
    def faults(self) -> list[str]:
        """Answers that cannot be taken, each named with its task."""
        return [fault for _, fault in self.faulty.values()]


def read_task(item: ReadItem, task: Mapping[str, Any], taxonomy: Taxonomy, names: Mapping[int, str]) -> None:
    """Adds what an exported task holds to its item.

    Args:
        item: receives readings, faults and counts.
        task: as exported.
        taxonomy: the themes an answer may have.
        names: annotators by their number.
    """
    answered = {_who(a.get("completed_by"), names) for a in task.get("annotations") or []}
    # A draft beside a submitted annotation is an edit that was not saved; the submitted answer stands.
    item.n_drafts += sum(_who(d.get("user"), names) not in answered for d in task.get("drafts") or [])
    for annotation in task.get("annotations") or []:
        if annotation.get("was_cancelled"):
            item.n_cancelled += 1
            continue
        chosen, comment = _answer(annotation.get("result") or [])
        if not chosen:
            continue  # submitted without an answer, which only the API can do
        who, at = _who(annotation.get("completed_by"), names), str(annotation.get("updated_at") or "")
        before = item.readings[who].at if who in item.readings else item.faulty.get(who, ("", ""))[0]
        if at < before:
            continue
        item.readings.pop(who, None)
        item.faulty.pop(who, None)
        if fault := _fault(chosen, taxonomy):
            item.faulty[who] = (at, f"task {task['id']}: {who}: {fault}")
        else:
            item.readings[who] = Reading(who, tuple(taxonomy.ordered(chosen)), comment, at)


def _who(user: Any, names: Mapping[int, str]) -> str:
    if isinstance(user, Mapping):
        return str(user.get("email") or user.get("id"))
    if isinstance(user, int) and not isinstance(user, bool):
        return names.get(user, str(user))
    return str(user or "unknown")


def chosen(annotation: Mapping[str, Any]) -> list[str]:
    """The choices of an annotation as the server exports it; none of one that was skipped."""
    return [] if annotation.get("was_cancelled") else _answer(annotation.get("result") or [])[0]


def _answer(result: Sequence[Mapping[str, Any]]) -> tuple[list[str], str]:
    chosen, comments = list[str](), list[str]()
    for region in result:
        value = region.get("value") or {}
        if region.get("from_name") == CHOICES:
            chosen += [str(c) for c in value.get("choices") or []]
        elif region.get("from_name") == "comment":
            text = value.get("text") or []
            comments += [text] if isinstance(text, str) else [str(t) for t in text]
    return chosen, "\n".join(comments)


def _fault(chosen: Sequence[str], taxonomy: Taxonomy) -> str:
    if unknown := [c for c in chosen if c not in (*taxonomy.keys, NONE)]:
        return f"unknown choice {', '.join(unknown)} (the taxonomy has {', '.join(taxonomy.keys)})"
    if NONE in chosen and set(chosen) != {NONE}:
        return f"`{NONE}` together with {', '.join(c for c in chosen if c != NONE)}"
    return ""


def merge(item: ReadItem, rule: str, taxonomy: Taxonomy, adjudicator: str | None = None) -> list[Row] | None:
    """Rows of an item that has readings: one, or with the rule "all" one for each annotator.

    Args:
        item: with at least one reading.
        rule: "majority" gives a theme that more than half gave; "adjudicator" takes the adjudicator's answer, and elsewhere what all say
            alike; "all" keeps every answer, with its `annotator`.
        taxonomy: for the order of labels.
        adjudicator: whose answer decides.

    Returns:
        None where the rule leaves the item undecided: half gave a theme and half did not, or nobody adjudicated a difference.
    """
    readings = [item.readings[who] for who in sorted(item.readings)]
    if rule == "all":
        return [
            item.row | {"labels": list(r.labels), "annotator": r.annotator} | _comments([r], single=True)
            for r in readings
        ]
    if rule == "adjudicator" and adjudicator in item.readings:
        labels: list[str] | None = list(item.readings[adjudicator].labels)
    elif rule == "adjudicator":
        labels = list(readings[0].labels) if len({r.labels for r in readings}) == 1 else None
    else:
        labels = _majority(readings, taxonomy)
    return None if labels is None else [item.row | {"labels": labels} | _comments(readings)]


def _majority(readings: Sequence[Reading], taxonomy: Taxonomy) -> list[str] | None:
    votes = {k: sum(k in r.labels for r in readings) for k in taxonomy.keys}
    if any(2 * n == len(readings) for n in votes.values()):
        return None
    return [k for k, n in votes.items() if 2 * n > len(readings)]


def _comments(readings: Sequence[Reading], *, single: bool = False) -> Row:
    said = {r.annotator: r.comment for r in readings if r.comment}
    if not said:
        return {}
    return {"comment": next(iter(said.values()))} if single else {"comments": said}
