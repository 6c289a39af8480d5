"""Title, year and issuer of a plan, as far as the document tells."""

from __future__ import annotations

import re

KINDS = "工作要点|任务分解表|分解表|任务表|工作台账|计划表|分工表|责任书|责任状|要点|工作计划|工作总结|总结|工作打算|工作安排|工作思路|重点工作|实施方案|工作方案|行动方案|落实情况|完成情况|进展情况|推进情况|情况报告|情况汇报|工作报告|工作汇报|重点任务|任务清单|责任清单|任务分工|实施意见|行动计划|规划|计划|方案"
_TITLE_END = re.compile(rf"(?:{KINDS})(?:的?(?:通知|报告|公示|公告|函))?(?:[(（][^()（）]{{1,20}}[)）])?$")
_LONGEST = 400  # a longer line is no title and no metadata; looking into one takes time that grows with its square
_PUNCTUATION = re.compile(r"[。;；!！,，]")
_YEAR = re.compile(r"(?<!\d)(20[0-4]\d|199\d)(?:\s*[-—~至]\s*20\d\d)?\s*年")
# The first of two lines of a title: place and year, which the second then lacks; no date, no number of a document.
_FIRST_HALF = re.compile(r"[\u4e00-\u9fff]{0,30}(?:20[0-4]\d|199\d)\s*年[\u4e00-\u9fff]{0,30}(?<![日号件])")
_CN_YEAR = re.compile(r"二[〇○零Oo0][〇○零Oo0一二三四][〇○零Oo0一二三四五六七八九]年")
_ANY_YEAR = re.compile(r"(?<!\d)(20[0-4]\d)(?!\d)")
_FIELD = re.compile(
    r"(?:名\s*称|标\s*题|文件名称|信息名称)\s*[:：]\s*(\S.*?)(?:\s{1,}(?:文\s*号|发布|有效|主题|索引|生成|成文)|$)"
)
_LABEL = re.compile(r"^(?:标\s*题|名\s*称|文件名称|题\s*目)\s*[:：]\s*")
_ISSUER_FIELD = re.compile(
    r"(?:发布机构|发文机关|发布单位|制发机关|发文单位|信息来源|来\s*源)\s*[:：]\s*([^\s|,，;；:：]{4,30})"
)
_BODY = r"(?:卫生健康委员会|卫生健康委|卫生健康局|卫生和计划生育委员会|卫生和计划生育局|卫生计生委|卫生计生局|卫健委|卫健局|卫计委|卫计局|卫生局|社会事业局|疾病预防控制局|疾控局|中心卫生院|卫生院|社区卫生服务中心|医院|疾病预防控制中心|疾控中心)"
_ISSUER = re.compile(rf"[\u4e00-\u9fff]{{2,18}}?{_BODY}")
_PLACE_ENDS = re.compile(r"[省市县区州旗镇乡街道办院局委]")
_NOISE = re.compile(r"^(?:在|由|经|向|对|与|和|及|各|全|从|为|将|请|据|本|我)")


def is_title(text: str) -> bool:
    """Whether a line reads like a document's own title: short, without a full stop, ending in a kind of document."""
    text = _LABEL.sub("", text.strip()).rstrip("》")
    return 6 <= len(text) <= 60 and not _PUNCTUATION.search(text) and bool(_TITLE_END.search(text)) and ":" not in text


def find_title(lines: list[str]) -> tuple[str | None, int]:
    """The title and the index of the line that prints it last before the plan begins.

    Args:
        lines: what stands before the first item, in order (a document that has no items: all lines).

    Returns:
        (title, index); (None, -1) if no line looks like a title.
    """
    best, best_at, best_rank = None, -1, (-1, -1)
    for at, line in enumerate(lines):
        if len(line) > _LONGEST:
            continue
        text = _LABEL.sub("", line.strip())
        text = re.split(r"\s{1,}(?=工作总结$|工作计划$)", text)[0].strip("《》 ")
        if is_title(text) and not _YEAR.search(text) and at and _FIRST_HALF.fullmatch(first := lines[at - 1].strip()):
            text = first + text if is_title(first + text) and not is_title(first) else text
        if not is_title(text) or text.startswith(("关于印发", "现将")) or " > " in text:
            continue
        rank = (bool(_YEAR.search(text)) + bool(_PLACE_ENDS.search(text)), at)
        if rank >= best_rank:
            best, best_at, best_rank = text, at, rank
    if best is None:
        for line in lines:
            if found := _FIELD.search(line[:_LONGEST]):
                return found[1].strip("《》 "), -1
            if (found := re.search(r"《([^《》]{6,60})》", line)) and is_title(found[1]):
                return found[1], -1
    return best, best_at


def find_year(title: str | None, lines: list[str]) -> int | None:
    """The year the plan is for: from the title, else the first year of a line that has one."""
    for text in [title or "", *lines]:
        if found := _YEAR.search(text):
            return int(found[1])
        if found := _CN_YEAR.search(text):
            return int("".join(str("〇一二三四五六七八九".index(c)) for c in re.sub("[○零Oo0]", "〇", found[0][:4])))
        if text == title and (found := _ANY_YEAR.search(text)):
            return int(found[1])
    return None


def find_issuer(title: str | None, before: list[str], after: list[str]) -> str | None:
    """Who issued the plan: from the title, a metadata field or the signature; None rather than a guess."""
    clean = re.sub(r"20\d\d\s*年度?", " ", title or "")
    if found := _ISSUER.search(clean):
        return found[0]
    named = [found[1] for line in before for found in _ISSUER_FIELD.finditer(line)]
    if named:
        return next((name for name in named if _ISSUER.search(name)), named[0])
    for line in [*reversed(after[-12:]), *before]:
        text = re.sub(r"\s", "", line)
        if len(text) <= 30 and (found := _ISSUER.fullmatch(text)) and not _NOISE.match(text):
            return found[0]
    return None
