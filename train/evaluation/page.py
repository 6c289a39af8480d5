"""The evaluation as one web page that needs nothing else: figures, bars, and every item that went wrong."""

from __future__ import annotations

import base64
import hashlib
from html import escape

from train.evaluation.report import Report, WrongItem, basis, cautions, display_name, figure, overall
from train.taxonomy import Theme

_STYLE = """
body{font:15px/1.6 "Noto Sans CJK SC","Microsoft YaHei","PingFang SC",sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}.en{color:#666;font-size:.85em;font-weight:normal}
table{border-collapse:collapse;width:100%}th,td{padding:.3rem .6rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.bar{display:block;height:.35rem;border-radius:2px;background:#eee;min-width:5rem}.bar i{display:block;height:100%;border-radius:2px;background:var(--c,#1f77b4)}
.caution{border-left:4px solid #d62728;padding:.3rem .8rem;font-weight:bold}
article{border:1px solid #ddd;border-left:4px solid #d62728;border-radius:4px;padding:.5rem 1rem;margin:.8rem 0;content-visibility:auto;contain-intrinsic-size:auto 9rem}
article header,article footer{color:#666;font-size:.85em}article p{margin:.3rem 0;white-space:pre-wrap;overflow-wrap:anywhere}
.theme{display:inline-block;border-radius:3px;padding:0 .4rem;margin-right:.3rem;border:1px solid #bbb;color:#222}
.missed{border:2px dashed #d62728}.extra{border:2px solid #d62728;text-decoration:line-through}
footer span{margin-right:1rem;font-variant-numeric:tabular-nums;white-space:nowrap}
@media (prefers-color-scheme:dark){body{color:#ddd;background:#181818}.en,article header,article footer{color:#999}.theme{color:#ddd}
th,td,article{border-color:#444}article{border-left-color:#d62728}.bar{background:#333}}
"""
_SCRIPT = """
const pick = document.getElementById("pick"), shown = document.getElementById("shown"), items = [...document.querySelectorAll("article")];
pick.onchange = () => {
  for (const item of items) item.hidden = pick.value && !item.dataset.wrong.split(" ").includes(pick.value);
  shown.textContent = items.filter(item => !item.hidden).length;
};
"""
# Whatever slipped through the escaping, a browser runs this script only and fetches nothing.
_POLICY = (
    f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()}'"
    "; base-uri 'none'; form-action 'none'"
)


def page(report: Report) -> str:
    """The report as HTML; whatever comes from rows or the taxonomy is escaped."""
    zh, en = basis(report.model)
    return "\n".join(
        [
            '<!doctype html><html lang="zh"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            f"<title>评估报告 Evaluation</title><style>{_STYLE}</style></head><body>",
            f"<h1>{_both('评估报告', 'Evaluation')}</h1><p>{_both(zh, en)}</p>",
            *(f"<p>{_both(*note)}</p>" for note in report.notes),
            *(f'<p class="caution">{_both(*caution)}</p>' for caution in cautions(report)),
            _overall_section(report),
            _theme_section(report),
            _wrong_section(report),
            "</body></html>",
            "",
        ]
    )


def _both(zh: str, en: str) -> str:
    """Chinese, with English beside it in a quieter type."""
    return escape(zh) + (f' <span class="en" lang="en">{escape(en)}</span>' if en != zh else "")


def _bar(value: float, colour: str = "") -> str:
    width = 0 if value != value else round(100 * value, 1)  # nan has no bar
    style = f' style="--c:{escape(colour)}"' if colour else ""
    return f'<span class="bar"{style}><i style="width:{width}%"></i></span>'


def _head(left: str, *columns: tuple[str, str]) -> str:
    return f"<tr><th>{left}</th>" + "".join(f'<th class="n">{_both(*names)}</th>' for names in columns) + "</tr>"


def _cell(text: str, bar: str = "") -> str:
    return f'<td class="n">{text}{bar}</td>'


def _overall_section(report: Report) -> str:
    columns = ("宏平均 F1", "macro F1"), ("微平均 F1", "micro F1"), ("整条全对率", "subset accuracy")
    lines = [f"<h2>{_both('总体', 'Overall')}</h2><table>{_head('', *columns)}"]
    for zh, en, scores in overall(report):
        macro = _cell(figure(scores.macro_f1, scores.ci95["macro_f1"]), _bar(scores.macro_f1))
        micro = _cell(figure(scores.micro_f1, scores.ci95["micro_f1"]), _bar(scores.micro_f1))
        exact = _cell(figure(scores.subset_accuracy), _bar(scores.subset_accuracy))
        lines.append(f"<tr><td>{_both(zh, en)}</td>{macro}{micro}{exact}</tr>")
    return "\n".join([*lines, "</table>"])


def _theme_section(report: Report) -> str:
    own = ("条数", "support"), ("精确率", "precision"), ("召回率", "recall"), ("F1", "F1")
    others = [(f"F1 {zh}", f"F1 {en}") for zh, en in map(display_name, report.baselines)]
    lines = [f"<h2>{_both('各主题', 'Themes')}</h2><table>{_head(_both('主题', 'theme'), *own, *others)}"]
    for theme in report.taxonomy.themes:
        scores = report.model.per_theme[theme.key]
        cells = [_cell(str(scores.support)), _cell(figure(scores.precision)), _cell(figure(scores.recall))]
        for f1 in (scores.f1, *(other.per_theme[theme.key].f1 for other in report.baselines.values())):
            cells.append(_cell(figure(f1), _bar(f1, theme.colour)))
        lines.append(f"<tr><td>{_both(theme.zh, theme.key)}</td>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</table>"])


def _wrong_section(report: Report) -> str:
    title = f"<h2>{_both(f'标错的条目({len(report.wrong)})', f'Wrong items ({len(report.wrong)})')}</h2>"
    if not report.wrong:
        return title + f"<p>{_both('没有。', 'None.')}</p>"
    themes = {theme.key: theme for theme in report.taxonomy.themes}
    options = "".join(
        f'<option value="{escape(key)}">{escape(f"{theme.zh} {key}")}</option>' for key, theme in themes.items()
    )
    return "\n".join(
        [
            title,
            f"<p>{_both('模型最有把握却与标注不符的在前:多半要么是模型的盲点,要么是标注有误。', 'Surest first: a blind spot of the model, or a wrong annotation.')}</p>",
            f'<p><span class="theme missed">{_both("漏标", "missed")}</span><span class="theme extra">{_both("多标", "extra")}</span>',
            f'<label>{_both("只看主题", "only theme")} <select id="pick"><option value="">全部 all</option>{options}</select></label>',
            f'<b id="shown">{len(report.wrong)}</b></p>',
            *(_article(item, themes) for item in report.wrong),
            f"<script>{_SCRIPT}</script>",
        ]
    )


def _article(item: WrongItem, themes: dict[str, Theme]) -> str:
    wrong = [key for key in themes if (key in item.gold) != (key in item.predicted)]
    place = [str(item.row["plan"]), *map(str, item.row.get("path") or ()), str(item.row.get("number") or "")]
    scores = "".join(f"<span>{escape(themes[key].zh)} {score:.2f}</span>" for key, score in item.scores.items())
    return (
        f'<article data-wrong="{escape(" ".join(wrong))}"><header>{escape(" › ".join(part for part in place if part))}</header>'
        f"<p>{escape(item.row['text'])}</p>"
        f"<div>{_both('标注', 'gold')} {_themes(item.gold, item.predicted, 'missed', themes)}</div>"
        f"<div>{_both('预测', 'predicted')} {_themes(item.predicted, item.gold, 'extra', themes)}</div>"
        f"<footer>{scores}</footer></article>"
    )


def _themes(keys: list[str], others: list[str], fault: str, themes: dict[str, Theme]) -> str:
    """The themes, those that the other side lacks marked as a fault."""
    if not keys:
        return f'<span class="theme">{_both("无主题", "none")}</span>'
    return "".join(
        f'<span class="theme{"" if key in others else " " + fault}">{_both(themes[key].zh, key)}</span>' for key in keys
    )
