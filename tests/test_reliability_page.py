"""The reliability page names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent
PAGE = TESTS.parent / "docs" / "reliability.md"
ROW = re.compile(r"^\| (?!\*\*|承诺)(.+?) \| (.*?) \|", re.MULTILINE)


def test_every_promise_names_a_test_that_exists() -> None:
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    assert len(rows) > 20
    for promise, named in rows:
        tests = re.findall(r"`(test_\w+\.py)::(test_\w+)`", named)
        assert tests, f"{promise}: no test"
        for file, name in tests:
            assert (TESTS / file).is_file(), f"{promise}: no file {file}"
            assert f"def {name}(" in (TESTS / file).read_text(encoding="utf-8"), f"{promise}: no {file}::{name}"
