"""What several test modules share: a made-up taxonomy of three themes, invented plans, and a bundle whose scores are known by hand."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from train.rows import Row, write_rows
from train.tagging import bundle as layout
from train.tagging.windows import WindowShape
from train.taxonomy import Taxonomy

ROOT = Path(__file__).resolve().parent.parent
# The characters that each theme is written with; a theme is told by any of them.
POOLS = {"roads": "道路桥隧车站轨", "water": "江河湖泊渠坝泉", "schools": "校园课堂师学书"}
FILLER = "推进建设落实加强全年不少于完成率达以上新增试点开展组织完善机制持续提升做好工作按要求每季度"


@pytest.fixture(autouse=True)
def _logging_as_it_is(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hydra configures logging anew, which closes all handlers; that of absl, a part of TensorBoard, closes pytest's capture with it.

    The handler it adds writes to the stream of the test that ran it, so later tests would find it closed.
    """
    monkeypatch.setattr("logging.config._clearExistingHandlers", lambda: None)
    level, before = logging.root.level, logging.root.handlers[:]
    yield
    logging.root.setLevel(level)
    for handler in logging.root.handlers[:]:
        if type(handler) is logging.StreamHandler and handler not in before:
            logging.root.removeHandler(handler)


@pytest.fixture(scope="session")
def taxonomy() -> Taxonomy:
    entries = [
        {"key": "roads", "zh": "道路", "en": "Roads", "definition": "修路架桥", "colour": "#d62728", "keywords": ["路|桥"]},
        {"key": "water", "zh": "水务", "en": "Water", "definition": "治水", "colour": "#1f77b4", "keywords": ["河|湖"]},
        {"key": "schools", "zh": "学校", "en": "Schools", "definition": "办学", "colour": "#2ca02c"},
    ]  # fmt: skip
    return Taxonomy.parse({"themes": entries}, "test")


@pytest.fixture(scope="session")
def taxonomy_file(taxonomy: Taxonomy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("taxonomy") / "my.yaml"
    path.write_text(taxonomy.dump(), encoding="utf-8")
    return path


def invented_rows(n_plans: int, n_items: int, seed: int = 0) -> list[Row]:
    """Plans of the three themes, one to each item and now and then two or none; no two texts are alike."""
    draw = random.Random(seed)
    rows = []
    for plan in range(n_plans):
        for number in range(1, n_items + 1):
            n_labels = draw.choices((0, 1, 2), (2, 8, 2))[0]
            chosen = draw.sample(sorted(POOLS), n_labels)
            labels = [k for k in POOLS if k in chosen]
            pool = FILLER + "".join(POOLS[k] * 2 for k in labels)
            text = "".join(draw.choices(pool, k=draw.randint(15, 60))) + "".join(POOLS[k][0] for k in labels) + "。"
            heading = draw.choice(["一、基础设施", "二、民生保障", "三、综合事项"])
            rows.append(
                {"plan": f"甲{plan}县2025.docx", "title": f"甲{plan}县2025年工作要点", "year": 2025, "issuer": None, "number": f"{number}.",
                 "path": [heading], "text": text, "units": "(责任单位:办公室)", "labels": labels}
            )  # fmt: skip
    return rows


@pytest.fixture(scope="session")
def rows() -> list[Row]:
    return invented_rows(10, 12)


@pytest.fixture(scope="session")
def gold(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gold") / "gold.jsonl"
    write_rows(path, rows)
    return path


def make_bundle(folder: Path, taxonomy: Taxonomy) -> Path:
    """A bundle whose network looks for the characters of `POOLS`: the logit of a theme is 4 where one is in a window, else -4."""
    from onnx import TensorProto, checker, helper, numpy_helper, save
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    characters = sorted({c for pool in POOLS.values() for c in pool} | set(FILLER))
    vocabulary = {token: at for at, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *characters])}
    table = np.full((len(vocabulary), len(POOLS)), -4, dtype=np.float32)
    for theme, pool in enumerate(POOLS.values()):
        table[[vocabulary[c] for c in pool], theme] = 4
    names = ("input_ids", "attention_mask", "token_type_ids")
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["each"]),
        helper.make_node("Add", ["attention_mask", "token_type_ids"], ["both"]),
        helper.make_node("Sub", ["both", "both"], ["nothing"]),
        helper.make_node("Cast", ["nothing"], ["zero"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["zero", "last"], ["zeros"]),
        helper.make_node("Add", ["each", "zeros"], ["sum"]),
        helper.make_node("Identity", ["sum"], [layout.STATES]),
        helper.make_node("ReduceMax", [layout.STATES, "second"], [layout.LOGITS], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "characters",
        [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "length"]) for n in names],
        [
            helper.make_tensor_value_info(layout.LOGITS, TensorProto.FLOAT, ["batch", len(POOLS)]),
            helper.make_tensor_value_info(layout.STATES, TensorProto.FLOAT, ["batch", "length", len(POOLS)]),
        ],
        [numpy_helper.from_array(np.array(v), k) for k, v in (("table", table), ("last", [2]), ("second", [1]))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    checker.check_model(model)
    folder.mkdir(parents=True, exist_ok=True)
    save(model, folder / layout.MODEL)
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.save(str(folder / layout.TOKENIZER))
    texts: dict[str, Any] = {
        layout.THRESHOLDS: dict.fromkeys(taxonomy.keys, 0.5),
        layout.WINDOWS: WindowShape(32, 8, 8, True, 2, 3, 0).as_dict(),
    }
    for name, data in texts.items():
        (folder / name).write_text(json.dumps(data), encoding="utf-8")
    (folder / layout.TAXONOMY).write_text(taxonomy.dump(), encoding="utf-8")
    layout.seal(folder, [p.name for p in folder.iterdir()])
    return folder


@pytest.fixture(scope="session")
def bundle(taxonomy: Taxonomy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle"), taxonomy)
