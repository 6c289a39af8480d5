"""An Excel workbook: the items, a summary of plans × themes, and the files that could not be read.

Texts are written as texts, never as formulas or links. What Excel has no column for is in 其他 (JSON); columns nobody needs in this file
(scores of untagged rows and the like) are hidden, not left out, so that every workbook has the same ones.
"""

from __future__ import annotations

import contextlib
import errno
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, BinaryIO

from train.rows import Row
from train.tagging.writers.columns import PATH_JOINT, extra_of, legible, scores_of, year_of
from train.tagging.writers.sheets import Cell, Format, Line, Table
from train.taxonomy import Taxonomy

HEADINGS = {
    "plan": "计划",
    "title": "标题",
    "year": "年份",
    "issuer": "发文单位",
    "number": "编号",
    "path": "标题路径",
    "text": "内容",
    "units": "责任单位",
    "labels": "主题",
}
EXTRA = "其他"
NO_THEME = "无主题"
_MULTILINE = {"title", "path", "text", "units"}


class Excel:
    """Sheets 条目 Items, 汇总 Summary and, if some inputs failed, 未读取 Not read."""

    def __init__(self, out: BinaryIO, taxonomy: Taxonomy | None, title: str) -> None:
        import xlsxwriter

        self._taxonomy = taxonomy or Taxonomy(())
        self._folder = tempfile.TemporaryDirectory(prefix="yaodian-", ignore_cleanup_errors=True)
        # No option turns texts into links or formulas: all cells go through write_string and write_number.
        self._drain = _Drain(out)
        self._book = xlsxwriter.Workbook(self._drain, {"constant_memory": True, "tmpdir": self._folder.name})
        # The same rows give the same bytes, whenever they are written.
        self._book.set_properties({"title": legible(title), "comments": "yaodian", "created": datetime(1980, 1, 1)})
        self._formats = _Formats(self._book, self._taxonomy)
        self._used: set[str] = set()
        # One line of JSON for each plan: a workbook of a hundred thousand plans is written with flat memory.
        self._summary = tempfile.TemporaryFile("w+", encoding="utf-8", dir=self._folder.name)  # noqa: SIM115
        self._plan: tuple[str, str] | None = None
        self._counts: Counter[str] = Counter()
        self._items = Table(self._book, "条目 Items", self._headings())

    def add(self, rows: Sequence[Row]) -> None:
        """Writes rows and counts them for the summary."""
        for row in rows:
            self._count(row)
            self._items.add(self._cells(row))

    def finish(self, failures: Sequence[tuple[str, str]]) -> None:
        """Writes the other sheets and the workbook.

        Raises:
            OSError: the disk is full, or there is more than .xlsx can hold.
        """
        from xlsxwriter.exceptions import FileCreateError, FileSizeError

        names = [name for name, _ in self._headings()]
        foldable = {HEADINGS["labels"], EXTRA, *(_score_heading(t.zh) for t in self._taxonomy.themes)}
        self._items.close([at for at, name in enumerate(names) if name in foldable - self._used])
        self._write_summary()
        if failures:
            self._write_failures(failures)
        try:
            self._book.close()
        except FileCreateError as error:
            raise error.args[0] from None
        except FileSizeError:
            raise OSError(errno.EFBIG, ".xlsx ends at 4 GB, .csv and .parquet do not") from None
        self._summary.close()
        self._folder.cleanup()

    def abandon(self) -> None:
        """Closes the sheets, which xlsxwriter does only when it saves, and deletes their rows."""
        self._drain.cut()
        for sheet in self._book.worksheets():
            with contextlib.suppress(OSError):  # a full disk refuses the last flush too
                sheet.row_data_fh.close()
        with contextlib.suppress(OSError):
            self._summary.close()
        self._folder.cleanup()

    def _headings(self) -> list[tuple[str, Format]]:
        plain, themes = self._formats.heading, self._taxonomy.themes
        return [
            *((name, plain) for name in HEADINGS.values()),
            *((t.zh, self._formats.theme[t.key]) for t in themes),
            *((_score_heading(t.zh), plain) for t in themes),
            (EXTRA, plain),
        ]

    def _cells(self, row: Row) -> Line:
        form, taxonomy = self._formats, self._taxonomy
        labels, scores, extra = row.get("labels"), scores_of(row, taxonomy), extra_of(row, taxonomy)
        values: dict[str, Cell] = {name: str(row.get(name) or "") for name in HEADINGS}
        values |= {"year": year_of(row), "path": PATH_JOINT.join(row.get("path") or []), "labels": self._names(labels)}
        if labels is not None:
            self._used.add(HEADINGS["labels"])
        if extra:
            self._used.add(EXTRA)
        if any(score is not None for score in scores):
            self._used |= {_score_heading(t.zh) for t in taxonomy.themes}
        return [
            *((values[name], form.wrapped if name in _MULTILINE else form.top) for name in HEADINGS),
            *((1 if key in (labels or []) else None, form.theme[key]) for key in taxonomy.keys),
            *((None if score is None else round(score, 3), form.score) for score in scores),
            (extra, form.top),
        ]

    def _names(self, labels: list[str] | None) -> str:
        """Chinese names of the themes; 无主题 if the row has none, "" if it is not labelled."""
        zh = {theme.key: theme.zh for theme in self._taxonomy.themes}
        return "、".join(zh.get(key, key) for key in labels) or NO_THEME if labels is not None else ""

    def _count(self, row: Row) -> None:
        plan = str(row.get("plan") or "")
        if self._plan is None or self._plan[0] != plan:
            self._end_plan()
            self._plan = (plan, str(row.get("title") or ""))
        self._counts["items"] += 1  # themes are counted as "theme {key}": a key may be `items`
        labels = row.get("labels")
        if labels is not None:
            self._counts["labelled"] += 1
            self._counts["none"] += not labels
            self._counts.update(f"theme {key}" for key in set(labels))

    def _end_plan(self) -> None:
        if self._plan is not None:
            self._summary.write(json.dumps([*self._plan, self._counts]) + "\n")
            self._counts = Counter()

    def _write_summary(self) -> None:
        form, themes = self._formats, self._taxonomy.themes
        headings = [(name, form.heading) for name in (HEADINGS["plan"], HEADINGS["title"], "条目数")]
        headings += [(t.zh, form.theme[t.key]) for t in themes]
        if themes:
            headings += [(NO_THEME, form.heading), (f"{NO_THEME}占比", form.heading)]
        table = Table(self._book, "汇总 Summary", headings)
        self._end_plan()
        self._summary.seek(0)
        total: Counter[str] = Counter()
        for line in self._summary:
            plan, title, counts = json.loads(line)
            total.update(counts, plans=1)
            table.add(self._line(plan, title, Counter(counts), form.top, form.percent))
        below = 1
        table.add(self._line("合计 Total", f"{total['plans']} 份计划 plans", total, form.total, form.total_percent))
        if clipped := self._items.clipped:
            table.add([(f"{clipped} 个单元格超过 Excel 的长度上限,已截断;全文请输出为 .jsonl 或 .parquet", form.top)])
            below += 2
            table.add([(f"{clipped} cells cut at Excel's limit; write .jsonl or .parquet for the full text", form.top)])
        table.close(below=below)

    def _line(self, plan: str, title: str, counts: Counter[str], form: Format, percent: Format) -> Line:
        cells: Line = [(plan, form), (title, form), (counts["items"], form)]
        cells += [(counts[f"theme {key}"], form) for key in self._taxonomy.keys]
        if self._taxonomy:
            share = counts["none"] / counts["labelled"] if counts["labelled"] else None
            cells += [(counts["none"], form), (share, percent)]
        return cells

    def _write_failures(self, failures: Sequence[tuple[str, str]]) -> None:
        form = self._formats
        table = Table(self._book, "未读取 Not read", [("文件", form.heading), ("原因", form.heading)])
        for file, reason in failures:
            table.add([(file, form.top), (reason, form.wrapped)])
        table.close()


class _Drain:
    """The output file; once cut off from it, a place where writing has no effect.

    When saving fails, xlsxwriter leaves a `ZipFile` open. It writes its last part when it is collected, long after the output file is
    closed, and would print a traceback.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._out: BinaryIO | None = out
        self._at = 0

    def cut(self) -> None:
        """From now on nothing reaches the file."""
        self._out = None

    def write(self, data: bytes) -> int:
        """Writes data."""
        if self._out:
            self._out.write(data)
        self._at += len(data)
        return len(data)

    def seek(self, at: int) -> int:
        """Goes to a place counted from the start."""
        if self._out:
            self._out.seek(at)
        self._at = at
        return at

    def tell(self) -> int:
        """The place of the next byte."""
        return self._at

    def flush(self) -> None:
        """Hands everything to the disk."""
        if self._out:
            self._out.flush()


class _Formats:
    """The looks of cells."""

    def __init__(self, book: Any, taxonomy: Taxonomy) -> None:
        top, rule = {"valign": "top"}, {"bottom": 1, "bottom_color": "#9e9e9e"}
        bold = {"bold": True, "top": 1, "top_color": "#9e9e9e"}
        self.heading = book.add_format({"bold": True, "bg_color": "#eeeeee", "valign": "vcenter", **rule})
        self.top = book.add_format(top)
        self.wrapped = book.add_format({**top, "text_wrap": True})
        self.score = book.add_format({**top, "num_format": "0.000", "font_color": "#616161"})
        self.percent = book.add_format({**top, "num_format": "0.0%"})
        self.total = book.add_format({**top, **bold})
        self.total_percent = book.add_format({**top, **bold, "num_format": "0.0%"})
        centred = {**top, "align": "center", "bold": True}
        self.theme = {
            t.key: book.add_format({**centred, "bg_color": t.colour, "font_color": ink_on(t.colour)})
            for t in taxonomy.themes
        }


def ink_on(colour: str) -> str:
    """Black or white, whichever reads better on `#rrggbb` (relative luminance, WCAG 2)."""
    red, green, blue = (_linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return "#000000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "#ffffff"


def _linear(channel: float) -> float:
    return float(channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4)


def _score_heading(name: str) -> str:
    return f"{name}分数"
