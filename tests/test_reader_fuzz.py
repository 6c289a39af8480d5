"""Some hundreds of damaged files; `scripts/fuzz_readers.py` reads them by the hundred thousand."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import KINDS, mutated

from train.errors import InputError
from train.plans import read_plan

EXAMPLES = {"txt": 150, "html": 120, "docx": 100, "pdf": 80}


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_gives_a_plan_or_one_line_and_never_reaches_the_last_net(
    tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    @settings(max_examples=EXAMPLES[kind], deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.integers(0, 1 << 32))
    def check(seed: int) -> None:
        suffix, raw = mutated(kind, Random(seed))
        path = tmp_path / f"a{suffix}"
        path.write_bytes(raw)
        said = ""
        try:
            read_plan(path)
        except InputError as error:
            said = str(error)
        assert not said or (said.startswith(f"{path}: ") and len(said.splitlines()) == 1)
        assert "its reader failed" not in said

    check()
    assert capfd.readouterr() == ("", "")
    assert [each.stem for each in tmp_path.iterdir()] == ["a"] * len(list(tmp_path.iterdir()))


def test_the_same_seed_damages_the_same_way() -> None:
    assert all(mutated(kind, Random(7)) == mutated(kind, Random(7)) for kind in KINDS)
