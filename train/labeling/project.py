"""The project on the server: made or brought up to date by `label init`, found and checked by the other commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lxml import etree

from train.errors import ConfigError, LabelStudioError
from train.labeling.connection import Server
from train.labeling.tasks import CHOICES, ITEM
from train.resources import resource
from train.taxonomy import NONE, Taxonomy

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio

CODEBOOK = "labels/codebook.zh-CN.md"


@dataclass(frozen=True, slots=True)
class Project:
    """A project on the server.

    Attributes:
        id: its number, in the address `/projects/ID`.
        title: as people see it.
        interface: the labelling configuration.
    """

    id: int
    title: str
    interface: str


def find_project(server: Server, wanted: str) -> Project | None:
    """The project of this title or number, None if there is none of this title.

    Raises:
        LabelStudioError: several have the title, or none has the number.
    """
    if wanted.isascii() and wanted.isdigit():
        return server.call(f"reading project {wanted}", lambda c: _project(c.projects.get(int(wanted))))
    found = server.call("listing projects", lambda c: _titled(c, wanted))
    if len(found) > 1:
        numbers = ", ".join(str(p.id) for p in sorted(found, key=lambda p: p.id))
        raise LabelStudioError(
            f"{server.url}: {len(found)} projects are called {wanted}: {numbers}; give one of these, --project {found[0].id}"
        )
    return find_project(server, str(found[0].id)) if found else None


def open_project(server: Server, wanted: str) -> Project:
    """The project, whose interface must still ask for themes.

    Raises:
        LabelStudioError: no such project, or an interface somebody edited until nothing of ours was left in it.
    """
    project = find_project(server, wanted)
    if project is None:
        raise LabelStudioError(f"{server.url}: no project is called {wanted}; make it with `yaodian label init`")
    if choices_of(project.interface) is None:
        raise LabelStudioError(
            f"{server.url}: the interface of project {project.id} has no multiple choices `{CHOICES}` for `{ITEM}`; somebody edited it, "
            f"`yaodian label init --project {project.id}` restores it"
        )
    return project


def require_themes(project: Project, taxonomy: Taxonomy, *, more: bool = False) -> None:
    """Refuses a project that does not ask for exactly the themes of a taxonomy.

    Args:
        project: as the server has it.
        taxonomy: what it should ask for.
        more: whether it may offer further answers.

    Raises:
        LabelStudioError: with the themes that are missing or too many.
    """
    there = set(choices_of(project.interface) or ())
    missing = [k for k in [*taxonomy.keys, NONE] if k not in there]
    foreign = [] if more else sorted(there - {*taxonomy.keys, NONE})
    if missing or foreign:
        faults = [f"{word} {', '.join(keys)}" for word, keys in (("lacks", missing), ("adds", foreign)) if keys]
        raise LabelStudioError(
            f"project {project.id}: its interface {' and '.join(faults)}; give what has its themes, --labels FILE or --model BUNDLE "
            f"(push also takes --no-prelabels), or other themes to it: `yaodian label init --project {project.id} --labels FILE`"
        )


def choices_of(interface: str) -> list[str] | None:
    """The answers an interface offers under our name, None where it has no such question about the item, or takes a single answer."""
    try:
        view = etree.fromstring(interface.encode(), etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError:
        return None
    for choices in view.iter("Choices"):
        if choices.get("name") == CHOICES and choices.get("toName") == ITEM and choices.get("choice") == "multiple":
            return [c.get("alias") or c.get("value") or "" for c in choices.iter("Choice")]
    return None


def init_project(server: Server, wanted: str, taxonomy: Taxonomy, codebook: Path | None) -> tuple[Project, str]:
    """Makes the project, or brings the one that is there up to date.

    Args:
        server: where.
        wanted: title or number.
        taxonomy: its themes become the interface.
        codebook: Markdown shown as instructions; the shipped one, or for another taxonomy its definitions, if None.

    Returns:
        The project and what happened: "created", "updated" or "up to date".

    Raises:
        LabelStudioError: annotations use a theme that the taxonomy no longer has, or the server refuses.
    """
    settings = {
        "label_config": taxonomy.label_studio_interface(),
        "expert_instruction": _instructions(taxonomy, codebook),
        "show_instruction": True,
        "show_collab_predictions": True,  # otherwise pre-labels stay hidden
        "enable_empty_annotation": False,
        "color": taxonomy.themes[0].colour,
    }
    project = find_project(server, wanted)
    if project is None:
        # Not repeatable: a lost answer does not tell whether the project was made, and a second one would be a duplicate.
        made = server.call(
            "creating the project", lambda c: _project(c.projects.create(title=wanted, **settings)), repeatable=False
        )
        return made, "created"
    there = server.call("reading the project", lambda c: c.projects.get(project.id))
    changed = {k: v for k, v in settings.items() if k != "color" and _squeezed(getattr(there, k, None)) != _squeezed(v)}
    if not changed:
        return project, "up to date"
    _require_unused(server, project, set(choices_of(project.interface) or ()) - {*taxonomy.keys, NONE})
    updated = server.call("updating the project", lambda c: c.projects.update(project.id, **changed))
    return Project(project.id, project.title, getattr(updated, "label_config", None) or project.interface), "updated"


def _require_unused(server: Server, project: Project, dropped: set[str]) -> None:
    """Label Studio itself lets an interface lose choices that annotations have; `pull` could no longer take them."""
    from train.labeling.download import uses

    if dropped and (used := uses(server, project, dropped)):
        counts = ", ".join(f"{key} ({n})" for key, n in sorted(used.items()))
        raise LabelStudioError(
            f"project {project.id}: answers use themes that the taxonomy does not have: {counts}; give the one that has them, "
            "--labels FILE, or make another project"
        )


def _titled(client: LabelStudio, title: str) -> list[Any]:
    pager = client.projects.list(page_size=100)
    if pager.items is None:  # JSON of another server
        raise ValueError("no list of projects")
    return [p for p in pager if p.title == title]


def _project(found: Any) -> Project:
    return Project(int(found.id), str(found.title), str(found.label_config or ""))


def _squeezed(value: object) -> object:
    """The server may lay out what it stores anew."""
    return "".join(value.split()) if isinstance(value, str) else value


def _instructions(taxonomy: Taxonomy, codebook: Path | None) -> str:
    from markdown_it import MarkdownIt

    shipped = taxonomy.keys == Taxonomy.load().keys
    if codebook is None and not shipped:
        text = "\n".join(f"- **{t.zh} {t.en}**: {t.definition}" for t in taxonomy.themes)
    else:
        path = codebook or resource(CODEBOOK)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"--codebook {path}: cannot be read ({getattr(error, 'strerror', 'not UTF-8')}); give a Markdown file"
            ) from None
    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))
