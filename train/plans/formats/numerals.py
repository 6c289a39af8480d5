"""Numbers as lists print them: `十二`, `XII`, `l`, `⑫`, `丁`."""

from __future__ import annotations

from collections.abc import Callable

_DIGITS = "〇一二三四五六七八九"
_LEGAL_DIGITS = "零壹贰叁肆伍陆柒捌玖"
_ROMAN = [(1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"),
          (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")]  # fmt: skip
_STEMS = "甲乙丙丁戊己庚辛壬癸"
_BRANCHES = "子丑寅卯辰巳午未申酉戌亥"
_MAX_COUNTED = 9_999  # beyond it figures are printed; no list is longer


def counted(n: int) -> str:
    """Chinese counting: 12 → `十二`, 110 → `一百一十`, 105 → `一百零五`."""
    text = _thousands(n, _DIGITS.replace("〇", "零"), "十百千")
    return text[1:] if text.startswith("一十") else text


def legal(n: int) -> str:
    """Counting that cannot be forged: 12 → `壹拾贰`."""
    return _thousands(n, _LEGAL_DIGITS, "拾佰仟")


def _thousands(n: int, digits: str, units: str) -> str:
    if not 0 < n <= _MAX_COUNTED:
        return str(n)
    figures = str(n)
    text = ""
    for place, figure in enumerate(figures):
        power = len(figures) - 1 - place
        if figure != "0":
            text += digits[int(figure)] + (units[power - 1] if power else "")
        elif text and not text.endswith(digits[0]):
            text += digits[0]
    return text.rstrip(digits[0])


def digit_by_digit(n: int) -> str:
    """12 → `一二`, 2026 → `二〇二六`."""
    return "".join(_DIGITS[int(c)] for c in str(n)) if n >= 0 else str(n)


def roman(n: int) -> str:
    """4 → `IV`."""
    if not 0 < n <= _MAX_COUNTED:
        return str(n)
    text = ""
    for value, letters in _ROMAN:
        count, n = divmod(n, value)
        text += letters * count
    return text


def doubled_letters(n: int) -> str:
    """1 → `A`, 26 → `Z`, 27 → `AA`, 28 → `BB`, as Word counts."""
    if not 0 < n <= 780:  # thirty letters; Word goes no further
        return str(n)
    return chr(ord("A") + (n - 1) % 26) * ((n - 1) // 26 + 1)


def _series(first: str, count: int) -> Callable[[int], str]:
    """Consecutive code points; past the last, plain figures."""
    return lambda n: chr(ord(first) + n - 1) if 1 <= n <= count else str(n)


def circled(n: int) -> str:
    """12 → `⑫`; up to 50."""
    for first, base, count in (("①", 0, 20), ("㉑", 20, 15), ("㊱", 35, 15)):
        if base < n <= base + count:
            return chr(ord(first) + n - base - 1)
    return str(n)


def full_width(n: int) -> str:
    """12 → `１２`."""
    return str(n).translate({ord("0") + i: ord("０") + i for i in range(10)})


# Names of OOXML (ECMA-376 part 1, 17.18.59, ST_NumberFormat). A name that is not here is printed in figures.
FORMATS: dict[str, Callable[[int], str]] = {
    "chineseCounting": counted,
    "chineseCountingThousand": counted,
    "taiwaneseCounting": counted,
    "taiwaneseCountingThousand": counted,
    "japaneseCounting": counted,
    "koreanCounting": counted,
    "ideographDigital": digit_by_digit,
    "japaneseDigitalTenThousand": digit_by_digit,
    "taiwaneseDigital": digit_by_digit,
    "chineseLegalSimplified": legal,
    "ideographLegalTraditional": legal,
    "japaneseLegal": legal,
    "ideographTraditional": lambda n: _STEMS[n - 1] if 1 <= n <= len(_STEMS) else str(n),
    "ideographZodiac": lambda n: _BRANCHES[n - 1] if 1 <= n <= len(_BRANCHES) else str(n),
    "ideographEnclosedCircle": _series("㊀", 10),
    "decimalEnclosedCircle": circled,
    "decimalEnclosedCircleChinese": circled,
    "decimalEnclosedParen": _series("⑴", 20),
    "decimalEnclosedFullstop": _series("⒈", 20),
    "decimalFullWidth": full_width,
    "decimalFullWidth2": full_width,
    "decimalZero": lambda n: f"{n:02d}",
    "upperRoman": roman,
    "lowerRoman": lambda n: roman(n).lower(),
    "upperLetter": doubled_letters,
    "lowerLetter": lambda n: doubled_letters(n).lower(),
    "none": lambda n: "",
    "bullet": lambda n: "",
}


def printed(n: int, number_format: str) -> str:
    """A count in a number format of OOXML."""
    return FORMATS.get(number_format, str)(n)
