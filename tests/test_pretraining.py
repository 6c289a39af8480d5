"""Pretraining on a toy language: it learns, it goes on where it was killed, and its tokenizer folds what it should."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
import zstandard
from hydra import compose, initialize_config_dir
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordPiece

from train import pretrain as command
from train.errors import BrokenFile, ConfigError, NoText, OutputError
from train.learning.masked_language_model import bags_of_pieces, hide_tokens
from train.learning.pretraining import Pretraining
from train.learning.pretraining_documents import read_documents
from train.learning.pretraining_run import _prepare, pretrain
from train.learning.pretraining_settings import MaskingSettings, PretrainingSettings
from train.learning.pretraining_text import Batch, Epoch, PackedText, pack_text
from train.learning.vocabulary import CLS_ID, MASK_ID, PAD_ID, SEP_ID, UNK_ID, learn_vocabulary

ROOT = Path(__file__).resolve().parent.parent
TOPICS = ["医疗", "疾控", "老龄", "托育", "中药", "基层"]
TINY = [
    "vocabulary.size=300",
    "vocabulary.min_count=1",
    "network.n_layers=1",
    "network.width=32",
    "network.n_heads=2",
    "network.ffn_width=64",
    "network.dropout=0.1",
    "optim.lr=0.01",
    "optim.warmup_steps=10",
    "phases=[{until: 0.5, length: 16, batch_size: 8}, {until: 1, length: 32, batch_size: 4}]",
    "budget.steps=12",
    "budget.minutes=null",
    "run.device=cpu",
    "run.n_threads=1",
    "run.log_steps=4",
]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Two sources in a toy language, one of them compressed: a document uses the two characters of its topic."""
    folder = tmp_path / "text"
    folder.mkdir()
    rng = np.random.default_rng(0)
    documents = ["\n".join("".join(rng.choice(list(topic), 20)) for _ in range(15)) for topic in TOPICS]
    (folder / "plans.txt").write_text("\n\n".join(documents[:3]), encoding="utf-8")
    (folder / "more.txt.zst").write_bytes(zstandard.compress("\n\n".join(documents[3:]).encode()))
    return folder


def settings_of(text: Path, work: Path, *overrides: str) -> PretrainingSettings:
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        paths = [f"text.path={text}", f"run.work_dir={work}", f"run.output_dir={work / 'encoder'}"]
        return command.settings_from(compose("pretrain", [*paths, *TINY, *overrides]))


def packed(settings: PretrainingSettings) -> tuple[Tokenizer, PackedText]:
    paragraphs = [p for d in read_documents(settings.text.path) for p in d.paragraphs]
    tokenizer = learn_vocabulary(paragraphs, size=300, min_count=1, n_latin=10, max_latin_chars=4)
    return tokenizer, pack_text(settings.text.path, tokenizer, settings.run.work_dir / "packed")


def started(settings: PretrainingSettings) -> Pretraining:
    tokenizer, text = packed(settings)
    return Pretraining(settings, text, tokenizer.get_vocab_size())


def test_digits_and_han_stand_alone_and_width_and_case_do_not_matter() -> None:
    tokenizer = learn_vocabulary(["医保医疗2024", "GDP增长GDP"], size=300, min_count=1, n_latin=10, max_latin_chars=4)
    assert tokenizer.encode("2024医保GDP").tokens == ["[CLS]", "2", "0", "2", "4", "医", "保", "gdp", "[SEP]"]
    assert tokenizer.encode("（３）ＧＤＰ，医").ids == tokenizer.encode("(3)gdp,医").ids
    assert tokenizer.encode("xyz").tokens == ["[CLS]", "x", "##y", "##z", "[SEP]"]  # never seen, yet known by letters
    assert UNK_ID in tokenizer.encode("龘").ids


def test_rare_characters_are_unknown_and_the_size_is_kept() -> None:
    texts = ["甲甲甲乙乙丙"]
    full = learn_vocabulary(texts, size=1000, min_count=2, n_latin=0, max_latin_chars=4)
    assert full.token_to_id("乙") is not None
    assert full.token_to_id("丙") is None
    one_less = learn_vocabulary(texts, size=full.get_vocab_size() - 1, min_count=2, n_latin=0, max_latin_chars=4)
    assert (one_less.token_to_id("甲") is None, one_less.token_to_id("乙") is None) == (False, True)


def test_paragraphs_that_differ_in_figures_only_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(
        "\ufeff自2020年1月1日起施行。\n**第一条**\n\n自2021年5月1日起施行\n\n123\n", encoding="utf-8"
    )
    documents = list(read_documents(tmp_path))
    assert [d.paragraphs for d in documents] == [("自2020年1月1日起施行。", "第一条")]
    assert documents[0].source == "a"


def test_item_rows_are_text_too_and_a_plan_is_a_document(tmp_path: Path) -> None:
    rows = [
        {"plan": "甲", "path": ["一、疾控"], "text": "接种疫苗。", "labels": ["disease"]},
        {"plan": "甲", "path": ["一、疾控"], "text": "监测\n流感。"},
        {"plan": "乙", "text": "看护老人。"},
        {"text": "句子一。"},
        {"text": "另一句。"},
    ]
    (tmp_path / "rows.jsonl").write_text("\n\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    documents = list(read_documents(tmp_path))
    assert [d.paragraphs for d in documents] == [
        ("一、疾控", "接种疫苗。", "监测 流感。"),
        ("看护老人。",),
        ("句子一。",),
        ("另一句。",),
    ]
    assert documents[0].source == "rows"


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[1]",
        '{"plan": "甲"}',
        '{"text": 1}',
        '{"text": "x", "path": 1}',
        '{"text": "x", "path": "y"}',
        '{"text": "x", "path": [1]}',
    ],
)
def test_rows_that_hold_no_text_are_named_with_their_line(line: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "好。"}\n' + line, encoding="utf-8")
    with pytest.raises(BrokenFile, match=r"rows\.jsonl: line 2: expected an item row"):
        list(read_documents(tmp_path))


def test_text_that_is_not_there_or_not_readable_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoText, match=r"no \.txt, \.zst or \.jsonl file"):
        list(read_documents(tmp_path))
    bad = tmp_path / "bad.txt"
    bad.write_bytes("医疗卫生".encode("gb18030"))
    with pytest.raises(BrokenFile, match=r"bad\.txt: expected UTF-8 text"):
        list(read_documents(tmp_path))
    bad.rename(tmp_path / "bad.zst")
    with pytest.raises(BrokenFile, match="expected zstandard over UTF-8"):
        list(read_documents(tmp_path))
    (tmp_path / "bad.zst").rename(tmp_path / "bad.jsonl")
    with pytest.raises(BrokenFile, match="expected item rows in UTF-8"):
        list(read_documents(tmp_path))


def test_an_epoch_holds_every_token_once_and_no_piece_holds_two_documents(text: Path, tmp_path: Path) -> None:
    _, corpus = packed(settings_of(text, tmp_path))
    epoch = Epoch(corpus, np.arange(len(corpus.ends)), {}, 24, np.random.default_rng(0))
    batch = epoch.batch(0, len(epoch))
    texts = [np.asarray(corpus.tokens[a:b]) for a, b in zip(corpus.starts, corpus.ends, strict=True)]
    n_tokens = 0
    for ids, numbers in zip(batch.ids, batch.pieces, strict=True):
        for number in range(1, numbers.max() + 1):
            piece = ids[numbers == number]
            assert (piece[0], piece[-1]) == (CLS_ID, SEP_ID)
            inside = piece[1:-1].astype(np.uint16).tobytes()
            assert any(inside in document.tobytes() for document in texts)
            n_tokens += len(piece) - 2
    assert n_tokens == sum(
        len(document) - 1 for document in texts
    )  # the last [SEP] of a document closes its last piece
    assert (batch.ids[batch.pieces == 0] == PAD_ID).all()


def test_weights_decide_how_often_a_source_is_read(text: Path, tmp_path: Path) -> None:
    _, corpus = packed(settings_of(text, tmp_path))
    everything = np.arange(len(corpus.ends))
    sizes = corpus.source_sizes()
    epoch = Epoch(corpus, everything, {"plans": 3, "more": 0}, 24, np.random.default_rng(0))
    n_read = np.count_nonzero(epoch.batch(0, len(epoch)).ids > MASK_ID)
    n_words = np.count_nonzero(np.asarray(corpus.tokens[: sizes[corpus.sources[0]]]) > MASK_ID)
    assert corpus.sources[0] == "more"
    assert n_read == 3 * np.count_nonzero(np.asarray(corpus.tokens[sizes["more"] :]) > MASK_ID)
    assert n_words > 0


@pytest.mark.parametrize("span_probs", [[1.0], [0.4, 0.3, 0.2, 0.1]])
def test_a_fifth_of_the_tokens_is_hidden_and_special_ones_never(span_probs: list[float]) -> None:
    ids = np.full((200, 100), 9)
    ids[:, 0], ids[:, -1] = CLS_ID, SEP_ID
    batch = Batch(ids, np.ones_like(ids), np.zeros_like(ids))
    hidden, guess = hide_tokens(batch, 50, MaskingSettings(0.2, span_probs, 0.2), np.random.default_rng(0))
    assert len(guess) / ids.size == pytest.approx(0.2, abs=0.02)
    assert (ids.reshape(-1)[guess] == 9).all()
    assert (hidden.reshape(-1)[guess] == MASK_ID).mean() == pytest.approx(0.8, abs=0.03)
    untouched = np.setdiff1d(np.arange(ids.size), guess)
    assert (hidden.reshape(-1)[untouched] == ids.reshape(-1)[untouched]).all()


def test_it_learns_the_toy_language_and_transformers_opens_what_it_writes(text: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    output = pretrain(settings_of(text, tmp_path / "work", "budget.steps=700", "text.held_out=0"))
    curve = [json.loads(line) for line in (tmp_path / "work" / "loss.jsonl").read_text().splitlines()]
    assert curve[0]["loss"] > 3.5
    assert curve[-1]["loss"] < 1.7
    assert [point["length"] for point in (curve[0], curve[-1])] == [16, 32]
    assert (tmp_path / "work" / "loss.png").is_file()
    tokenizer = AutoTokenizer.from_pretrained(output)
    model = AutoModelForMaskedLM.from_pretrained(output, dtype=torch.float32).eval()
    n_known = 0
    for one, two in TOPICS:
        inputs = tokenizer(f"{one}{two}{one}{one}[MASK]" + f"{two}{one}{two}{one}{one}" * 3, return_tensors="pt")
        with torch.inference_mode():
            best = model(**inputs).logits[0, 5].topk(2).indices.tolist()
        n_known += set(tokenizer.convert_ids_to_tokens(best)) == {one, two}
    assert n_known >= 4  # chance would know none
    bare = Tokenizer.from_file(str(output / "tokenizer.json"))
    assert bare.encode("加强（医疗）").ids == tokenizer("加强（医疗）")["input_ids"]
    assert "| plans |" in (output / "README.md").read_text(encoding="utf-8")


def test_a_run_that_was_stopped_ends_with_the_weights_of_one_that_was_not(text: Path, tmp_path: Path) -> None:
    straight = started(settings_of(text, tmp_path / "straight"))
    straight.run()
    stopped = started(settings_of(text, tmp_path / "stopped"))
    for _ in range(5):
        stopped.step()
    stopped.save()
    stopped.step()  # lost, as in a kill
    resumed = started(settings_of(text, tmp_path / "stopped"))
    assert resumed.progress.step == 5
    resumed.run()
    assert resumed.progress.tokens == straight.progress.tokens
    for name, weight in straight.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name


def test_lines_of_the_loss_curve_after_the_saved_state_are_dropped(text: Path, tmp_path: Path) -> None:
    run = started(settings_of(text, tmp_path))
    run.step()
    run.save()
    run.loss_file.write_text('{"step": 1}\n{"step": 9}\n{"st', encoding="utf-8")
    started(settings_of(text, tmp_path))
    assert run.loss_file.read_text(encoding="utf-8") == '{"step": 1}\n'


def test_a_run_resumed_at_the_end_of_an_epoch_begins_the_next(text: Path, tmp_path: Path) -> None:
    run = started(settings_of(text, tmp_path))
    while run.progress.epoch == 0:
        before = replace(run.progress)
        run.step()
    resumed = started(settings_of(text, tmp_path))
    resumed.progress = before
    resumed.step()
    assert resumed.progress.epoch == run.progress.epoch == 1
    assert resumed.progress.tokens == run.progress.tokens


def test_a_work_folder_of_another_run_is_refused(text: Path, tmp_path: Path) -> None:
    started(settings_of(text, tmp_path)).save()
    with pytest.raises(ConfigError, match=r"give another run\.work_dir"):
        started(settings_of(text, tmp_path, "seed=2"))
    started(settings_of(text, tmp_path, "budget.steps=99", "optim.lr=0.1"))


def test_the_learning_rate_warms_up_and_decays_to_zero(text: Path, tmp_path: Path) -> None:
    run = started(settings_of(text, tmp_path))
    factors = []
    for step in (0, 9, 6, 12):
        run.progress = replace(run.progress, step=step)
        factors.append(run.lr_factor())
    # warm-up over 10 steps times linear decay over 12
    assert factors == pytest.approx([0.1, 3 / 12, 0.7 * 6 / 12, 0])


def test_a_run_goes_on_from_a_checkpoint_with_its_weights_and_vocabulary(text: Path, tmp_path: Path) -> None:
    first = pretrain(settings_of(text, tmp_path / "first"))
    shipped = load_file(first / "model.safetensors")
    again = pretrain(settings_of(text, tmp_path / "again", f"init={first}", "budget.steps=1"))
    card = (again / "README.md").read_text(encoding="utf-8")
    assert "It went on from an earlier checkpoint" in card
    assert card.count("Pretrained as a masked language model") == 2
    assert "12 steps" in card.split("## Before")[1]
    third = pretrain(settings_of(text, tmp_path / "third", f"init={again}", "budget.steps=2"))
    records = (third / "README.md").read_text(encoding="utf-8").split("## Before")
    assert [next(n for n in (1, 2, 12) if f"\n{n} steps, " in record) for record in records] == [2, 1, 12]
    settings = settings_of(text, tmp_path / "second", f"init={first}", "budget.steps=1", "vocabulary.size=200")
    tokenizer, packed_text = _prepare(settings)
    assert tokenizer.get_vocab() == Tokenizer.from_file(str(first / "tokenizer.json")).get_vocab()
    model = Pretraining(settings, packed_text, tokenizer.get_vocab_size()).model
    assert shipped
    for name, weight in shipped.items():
        assert torch.equal(model.bert_lm.state_dict()[name], weight.float()), name


def test_a_run_that_overwrites_its_init_tells_of_it_once_however_often_it_is_resumed(
    text: Path, tmp_path: Path
) -> None:
    encoder = pretrain(settings_of(text, tmp_path / "first", f"run.output_dir={tmp_path / 'encoder'}"))
    on = [f"init={encoder}", f"run.output_dir={encoder}"]
    for work, *more, told in (
        ("second", "budget.steps=1", [1, 12]),
        ("second", "budget.steps=2", [2, 12]),
        ("second", "budget.steps=2", "run.export_only=true", [2, 12]),
        ("third", "budget.steps=1", [1, 2, 12]),
    ):
        pretrain(settings_of(text, tmp_path / work, *on, *more))
        records = (encoder / "README.md").read_text(encoding="utf-8").split("## Before")
        assert [int(re.findall(r"\n(\d+) steps, ", record)[0]) for record in records] == told


def test_an_init_without_a_card_or_with_one_in_no_encoding_is_gone_on_from(text: Path, tmp_path: Path) -> None:
    first = pretrain(settings_of(text, tmp_path / "first", "budget.steps=1"))
    on = [f"init={first}", f"run.output_dir={first}"]
    (first / "README.md").unlink()
    for steps in (1, 2):  # the second finds a card there, the run's own
        pretrain(settings_of(text, tmp_path / "second", *on, f"budget.steps={steps}"))
        assert "## Before" not in (first / "README.md").read_text(encoding="utf-8")
    (first / "README.md").write_bytes("卡片".encode("gb18030"))
    pretrain(settings_of(text, tmp_path / "third", *on, "budget.steps=1"))
    assert "## Before" in (first / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "no checkpoint to go on from"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"?"), "no checkpoint to go on from"),
        (lambda folder: (folder / "config.json").unlink(), "no checkpoint to go on from"),
        (lambda folder: (folder / "config.json").write_text("[1]"), "no checkpoint to go on from"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "tokenizer.json cannot be read"),
        (lambda folder: None, "another network than network.* describes"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(text: Path, tmp_path: Path, spoil: Any, said: str) -> None:
    first = pretrain(settings_of(text, tmp_path / "first", "budget.steps=1"))
    spoil(first)
    with pytest.raises(ConfigError, match=re.escape(said)):
        pretrain(settings_of(text, tmp_path / "second", f"init={first}", "network.ffn_width=32"))


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("network.n_layers=3", "they differ in bert.encoder.layer.2."),
        ("network.n_layers=1", "they differ in bert.encoder.layer.1."),
        ("network.n_heads=4", "they differ in num_attention_heads: give the network.*"),
    ],
)
def test_a_checkpoint_with_other_layers_or_heads_is_refused(text: Path, tmp_path: Path, shape: str, said: str) -> None:
    first = started(settings_of(text, tmp_path, "network.n_layers=2"))
    first.model.as_shipped().save_pretrained(tmp_path / "first")
    with pytest.raises(ConfigError, match=re.escape(said)):
        started(settings_of(text, tmp_path, f"init={tmp_path / 'first'}", "network.n_layers=2", shape))


def test_a_checkpoint_with_a_foreign_vocabulary_is_refused(text: Path, tmp_path: Path) -> None:
    tokens = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "医"]
    foreign = Tokenizer(WordPiece({token: i for i, token in enumerate(tokens)}, unk_token="[UNK]"))
    foreign.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ConfigError, match=r"tokens 0 to 4, got \[PAD\] 0, \[UNK\] 2.*\[MASK\] missing: give a check"):
        pretrain(settings_of(text, tmp_path / "work", f"init={tmp_path}"))


def test_a_checkpoint_may_lack_what_only_the_bags_need(text: Path, tmp_path: Path) -> None:
    from transformers import BertForMaskedLM

    config = started(settings_of(text, tmp_path)).model.bert_lm.config
    earlier = BertForMaskedLM(config)
    earlier.save_pretrained(tmp_path / "earlier")
    assert not any("pooler" in name for name in load_file(tmp_path / "earlier" / "model.safetensors"))
    model = started(settings_of(text, tmp_path, f"init={tmp_path / 'earlier'}")).model
    for name, weight in earlier.state_dict().items():
        assert torch.equal(model.bert_lm.state_dict()[name], weight), name


def test_what_one_piece_of_a_block_says_changes_nothing_in_another(text: Path, tmp_path: Path) -> None:
    model = started(settings_of(text, tmp_path / "work")).model.eval()
    pieces = torch.tensor([[1, 1, 1, 1, 2, 2, 2, 0]])
    positions = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 0]])
    one = torch.tensor([[CLS_ID, 7, 8, SEP_ID, CLS_ID, 9, SEP_ID, PAD_ID]])
    other = torch.tensor([[CLS_ID, 7, 8, SEP_ID, CLS_ID, 12, SEP_ID, PAD_ID]])
    guess = torch.tensor([1, 2])
    with torch.inference_mode():
        first, second = (model(ids, pieces, positions, guess, one)[0] for ids in (one, other))
        seen = model(other, pieces, positions, torch.tensor([5]), one)[0]
        assert torch.equal(first, second)
        assert not torch.equal(seen, model(one, pieces, positions, torch.tensor([5]), one)[0])


def test_a_bag_holds_each_token_of_its_piece_once() -> None:
    ids = torch.tensor([[CLS_ID, 7, 8, 7, SEP_ID, PAD_ID], [CLS_ID, 9, SEP_ID, CLS_ID, 5, SEP_ID]])
    pieces = torch.tensor([[1, 1, 1, 1, 1, 0], [1, 1, 1, 2, 2, 2]])
    starts = torch.tensor([[1, 0, 0, 0, 0, 0], [1, 0, 0, 1, 0, 0]], dtype=torch.bool)
    bags = torch.zeros(3, 10)
    bags[0, 7] = bags[0, 8] = 0.5
    bags[1, 9] = bags[2, 5] = 1
    assert torch.equal(bags_of_pieces(ids, pieces, starts, 10), bags)


def test_the_bag_loss_trains_the_pooler_that_classifiers_read(text: Path, tmp_path: Path) -> None:
    without, with_bags = (
        started(settings_of(text, tmp_path / name, f"masking.bag_weight={weight}"))
        for name, weight in (("without", 0), ("with", 0.5))
    )
    moved = []
    for run in (without, with_bags):
        before = run.model.bert_lm.bert.pooler.dense.bias.clone()
        run.step()
        moved.append(not torch.equal(before, run.model.bert_lm.bert.pooler.dense.bias))
    assert moved == [False, True]


def test_settings_out_of_range_are_named_together(text: Path, tmp_path: Path) -> None:
    wrong = ["masking.span_probs=[1.5,-0.5]", "optim.max_grad_norm=-1", "network.ffn_width=0"]
    with pytest.raises(ConfigError, match=r"span_probs=\[1\.5, -0\.5\].*ffn_width=0.*max_grad_norm=-1"):
        settings_of(text, tmp_path, *wrong)
    with pytest.raises(ConfigError, match=r"network\.width=33.*masking\.prob=2"):
        settings_of(text, tmp_path, "masking.prob=2", "network.width=33")
    with pytest.raises(ConfigError, match=r"budget\.steps or budget\.minutes"):
        settings_of(text, tmp_path, "budget.steps=null")
    with pytest.raises(ConfigError, match=r"numbers above 0; run\.log_steps=0"):
        settings_of(text, tmp_path, "budget.steps=-1", "run.log_steps=0")


@pytest.mark.parametrize(
    "wrong",
    [
        [
            "vocabulary.min_count=0",
            "vocabulary.n_latin=-1",
            "vocabulary.max_latin_chars=0",
            "network.width=0",
            "masking.bag_weight=inf",
            "optim.lr=inf",
            "optim.beta2=1.5",
            "optim.weight_decay=-0.1",
            "optim.warmup_steps=-1",
            "run.checkpoint_minutes=-1.0",
            "run.device=gpu",
            "run.n_threads=-1",
            "seed=-1",
        ],
        ["vocabulary.n_latin=301", "optim.lr=nan", "run.device=cuda:", "run.n_threads=5000000000", "seed=4294967296"],
    ],
)
def test_every_setting_has_a_range_and_all_faults_are_one_line(wrong: list[str], text: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        settings_of(text, tmp_path, *wrong)
    faults = str(refused.value).removeprefix("pretraining settings: ").split("; ")
    assert [fault.rsplit(": expected ", 1)[0] for fault in faults] == wrong


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("+text.weights.more=inf", "text.weights: expected 0 or more, finite"),
        ("budget.minutes=nan", "budget.minutes: expected finite numbers"),
        ("phases=[{until: 0, length: 16, batch_size: 8}, {until: 1, length: 16, batch_size: 8}]", "rise from above 0"),
        ("phases=[{until: nan, length: 16, batch_size: 8}, {until: 1, length: 16, batch_size: 8}]", "until must rise"),
        ("phases=[]", "end at 1"),
    ],
)
def test_budgets_phases_and_weights_without_an_end_are_refused(
    wrong: str, said: str, text: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        settings_of(text, tmp_path, wrong)


def test_the_ends_of_the_ranges_are_allowed(text: Path, tmp_path: Path) -> None:
    least = ["optim.beta2=0", "optim.weight_decay=0", "optim.warmup_steps=0", "run.checkpoint_minutes=0", "seed=0"]
    settings_of(text, tmp_path, *least, "run.device=cuda:1", "run.n_threads=0", "vocabulary.n_latin=0")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["text.path=nowhere"], "nowhere: not a folder"),
        ([], "text.path"),
        (["seed=many", "text.path=nowhere"], "seed: Value 'many'"),
        (["sed=1"], "Could not override 'sed'"),
    ],
)
def test_faults_of_the_user_are_one_line_and_exit_code_2(
    overrides: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["yaodian"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(SystemExit) as stop:
        command.main(overrides)
    printed = capsys.readouterr().err
    assert stop.value.code == 2
    assert message in printed
    assert printed.count("\n") == 1


def test_text_settings_that_cannot_work_are_named(text: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no source named plan; there are more, plans"):
        pretrain(settings_of(text, tmp_path, "+text.weights.plan=2"))
    with pytest.raises(ConfigError, match="a step needs 5000"):
        started(settings_of(text, tmp_path, "phases=[{until: 1, length: 16, batch_size: 5000}]")).step()
    with pytest.raises(ConfigError, match="no state to export"):
        pretrain(settings_of(text, tmp_path, "run.export_only=true"))


@pytest.mark.parametrize("name", ["run.output_dir", "run.work_dir"])
def test_a_folder_that_cannot_be_written_is_named_before_the_training(name: str, text: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for wrong, why in (("file", "File exists"), ("file/in", "Not a directory")):
        with pytest.raises(OutputError) as refused:
            pretrain(settings_of(text, tmp_path / "work", f"{name}={tmp_path / wrong}"))
        message = f"{tmp_path / wrong}: not a folder that can be written ({why}); choose another {name}"
        assert str(refused.value) == message
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p.parent not in (tmp_path, text)]


def test_a_folder_that_is_there_but_takes_no_file_is_named(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(**_: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", deny)  # whoever runs this as root may write everywhere
    with pytest.raises(OutputError, match=r"work: not a folder .* \(Permission denied\); choose another run\.work_dir"):
        pretrain(settings_of(text, tmp_path / "work"))


@pytest.mark.parametrize("in_the_way", ["config.json", "model.safetensors", "tokenizer.json", "README.md"])
def test_an_export_that_fails_says_how_to_get_at_the_training(in_the_way: str, text: Path, tmp_path: Path) -> None:
    work, spoiled = tmp_path / "work", tmp_path / "spoiled"
    (spoiled / in_the_way / "x").mkdir(parents=True)
    with pytest.raises(OutputError) as failed:
        pretrain(settings_of(text, work, "budget.steps=1", f"run.output_dir={spoiled}"))
    advice = f"the training is kept in {work}: run.export_only=true with another run.output_dir writes it"
    assert str(failed.value).startswith(f"{spoiled}: not a folder that can be written (")
    assert str(failed.value).endswith(f"); {advice}")
    output = pretrain(settings_of(text, work, "budget.steps=1", "run.export_only=true"))
    assert (output / in_the_way).is_file()


@pytest.mark.parametrize("in_the_way", ["state.half-done", "loss.jsonl", "loss.png"])
def test_a_work_folder_that_fails_later_is_named_with_what_is_lost(in_the_way: str, text: Path, tmp_path: Path) -> None:
    (tmp_path / "work" / in_the_way / "x").mkdir(parents=True)
    advice = "only loss.png is missing" if in_the_way == "loss.png" else "the same command goes on from the last state"
    with pytest.raises(OutputError, match=rf"work: not a folder .* \(.*Is a directory\); .*{advice}$"):
        pretrain(settings_of(text, tmp_path / "work", "budget.steps=4"))


def test_a_gpu_that_is_not_there_is_named(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match=r"run\.device=cuda:1: GPUs that torch finds here: 1; give one of them"):
        pretrain(settings_of(text, tmp_path, "run.device=cuda:1"))


def launch(text: Path, work: Path, *arguments: str, module: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    paths = [f"text.path={text}", f"run.work_dir={work}", f"run.output_dir={work / 'encoder'}"]
    command_line = [
        sys.executable,
        "-m",
        *module,
        *("-m" for _ in module[:1]),
        "train.pretrain",
        *paths,
        *TINY,
        *arguments,
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command_line, cwd=work.parent, env=environment)


@pytest.mark.slow(reason="starts five processes")
def test_kill_9_and_the_same_command_again_gives_the_same_weights_and_no_stray_files(
    text: Path, tmp_path: Path
) -> None:
    arguments = ("budget.steps=400", "run.checkpoint_minutes=0.002")
    assert launch(text, tmp_path / "straight", *arguments).wait() == 0
    victim = launch(text, tmp_path / "killed", *arguments)
    deadline = time.monotonic() + 60
    while not (tmp_path / "killed" / "state.pt").is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    assert launch(text, tmp_path / "killed", *arguments).wait() == 0
    weights = [(tmp_path / name / "encoder" / "model.safetensors").read_bytes() for name in ("straight", "killed")]
    assert weights[0] == weights[1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["killed", "straight", "text"]


@pytest.mark.slow(reason="starts two processes that talk to each other")
def test_torchrun_trains_on_two_processes(text: Path, tmp_path: Path) -> None:
    torchrun = ("torch.distributed.run", "--nproc-per-node", "2", "--standalone")
    process = launch(text, tmp_path / "work", "phases=[{until: 1, length: 16, batch_size: 4}]", module=torchrun)
    try:
        assert process.wait(timeout=200) == 0
    finally:  # ranks that wait for each other would outlive the test
        for left in [*psutil.Process(process.pid).children(recursive=True), process] if process.poll() is None else []:
            left.kill()
        process.wait()
    curve = [json.loads(line) for line in (tmp_path / "work" / "loss.jsonl").read_text().splitlines()]
    assert [point["step"] for point in curve] == [4, 8, 12]
    assert all(math.isfinite(point["loss"]) for point in curve)
