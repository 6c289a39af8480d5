"""Speed of tagging beside its rivals, in one run on this machine: writes figures as JSON and prints tables in Markdown.

    python scripts/bench_tag.py [--items 10000] [--slow-items 2000] [--repeats 3] [--threads 2] [--write docs/performance.json]
    python scripts/bench_tag.py --tables docs/performance.json      prints the tables again

Every measurement is a process of its own; the rivals take turns, once for each repeat. `--slow-items` is what the slow rivals are given, drawn from
the same items; rates are in items per second. "without bf16 units" restricts torch and OpenVINO by ONEDNN_MAX_CPU_ISA=AVX512_CORE; ONNX Runtime has
no such switch and uses no bf16 of its own accord. Wants the `dev` extra. On a busy machine the figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from bench_rivals import SINGLE, THROUGHPUT, linear, yaodian

from train.corpus.starter import raw_text
from train.resources import resource
from train.rows import Row, plan_names, read_rows, write_rows

ISAS = {"with bf16 units": {}, "without bf16 units": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}}
_FAST = (yaodian, linear)
_SEED = 1
_CLAUSE = re.compile(r"[^,。;,；，：:]+[,。;,；，：:]?")
_PIPELINE = """
import sys
from transformers import pipeline
folder, path = sys.argv[1:]
pipe = pipeline("text-classification", model=folder, tokenizer=folder, device="cpu")
items = [line for line in open(path, encoding="utf-8") if line.strip()]
print(len(pipe(items, batch_size=32, top_k=None, function_to_apply="sigmoid", truncation=True, max_length=256)))
"""


def main() -> None:
    """Measures, stores, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000, help="of each data set, for the fast ones")
    parser.add_argument("--slow-items", type=int, default=2_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--plans", type=int, default=187, help="of the whole job")
    parser.add_argument("--only", nargs="+", default=[r.__name__ for r in THROUGHPUT], help="these rivals")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--tables", type=Path, help="print the tables of an earlier run")
    arguments = parser.parse_args()
    if arguments.tables:
        print(tables(json.loads(arguments.tables.read_text(encoding="utf-8"))))
        return
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), arguments)
    if arguments.write:
        arguments.write.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(tables(figures))


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures of a run."""
    starter = read_rows(resource("data") / "starter")
    sets = {"starter": starter, "generated": generated(starter, arguments.items)}
    jobs: dict[tuple[str, bool], Path] = {}
    for name, rows in sets.items():
        drawn = random.Random(_SEED).sample(rows, min(arguments.items, len(rows)))
        for slow in (False, True):
            write_rows(folder / f"{name}{slow}.jsonl", drawn[: arguments.slow_items] if slow else drawn)
            jobs[name, slow] = _job(folder / f"{name}{slow}.json", rows=f"{folder}/{name}{slow}.jsonl", n_threads=arguments.threads)  # fmt: skip
    rates = defaultdict[str, list[float]](list)
    for _ in range(arguments.repeats):
        for isa, environment in ISAS.items():
            for data in sets:
                for rival in THROUGHPUT:
                    useless = rival is linear or "bf16" in rival.__name__
                    if rival.__name__ in arguments.only and not (environment and useless):
                        found = _run(rival.__name__, jobs[data, rival not in _FAST], environment)
                        rates[f"{isa}/{data}/{rival.__name__}"].append(found["items"] / found["seconds"])
    latency = defaultdict[str, list[float]](list)
    cold = defaultdict[str, list[float]](list)
    for _ in range(arguments.repeats):
        for rival in SINGLE:
            found = _run(rival.__name__, jobs["starter", True], {})
            latency[rival.__name__].append(found["seconds"] / found["items"])
        for name, seconds in _cold_start(folder).items():
            cold[name].append(seconds)
    texts = folder / "plans"
    texts.mkdir()
    for name in plan_names(starter)[: arguments.plans]:
        text = raw_text([row for row in starter if row["plan"] == name])
        (texts / f"{name}.txt").write_text(text, encoding="utf-8")
    job = _job(folder / "stages.json", folder=str(texts), n_threads=arguments.threads)
    return {
        "machine": _machine(arguments.threads),
        "items": arguments.items, "slow_items": arguments.slow_items, "repeats": arguments.repeats,
        "items_per_second": {k: median_and_spread(v) for k, v in rates.items()},
        "single_item_seconds": {k: median_and_spread(v) for k, v in latency.items()},
        "cold_start_seconds": {k: median_and_spread(v) for k, v in cold.items()},
        "peak_flops": {isa: _run("peak", job, environment) for isa, environment in ISAS.items()},
        "work_per_item": {data: _run("work", jobs[data, False], {}) for data in sets},
        "fidelity": {isa: _run("fidelity", jobs["starter", False], environment) for isa, environment in ISAS.items()},
        "stages_seconds": [_run("stages", job, {}) for _ in range(arguments.repeats)],
        "install_bytes": installed(),
    }  # fmt: skip


def generated(rows: list[Row], n_items: int) -> list[Row]:
    """New items from clauses of others with the same themes, as long as they are and under their headings; no two alike.

    Of clauses from anywhere the network is unsure, and unclear items are computed twice: of such nonsense every second one, of real items 3 in 100.
    """
    draw = random.Random(_SEED)
    clauses: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        clauses.setdefault(tuple(row["labels"]), []).extend(_CLAUSE.findall(row["text"]))
    made: dict[str, Row] = {}
    while len(made) < n_items:
        model, text = draw.choice(rows), ""
        while len(text) < len(model["text"]):
            text += draw.choice(clauses[tuple(model["labels"])])
        made.setdefault(text, {"plan": "generated", "number": "", "path": model["path"], "text": text, "units": ""})
    return list(made.values())


def installed() -> dict[str, int]:
    """Bytes on disk of each package that `pip install yaodian` brings, by what pip recorded, and of yaodian itself."""
    from packaging.requirements import Requirement

    sizes, left = dict[str, int](), ["yaodian"]
    while left:
        name = left.pop()
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        if found.name in sizes:
            continue
        files = [Path(str(found.locate_file(f))) for f in found.files or []]
        sizes[found.name] = sum(f.stat().st_size for f in files if f.is_file())
        wanted = [Requirement(r) for r in found.requires or []]
        left += [r.name for r in wanted if not r.marker or r.marker.evaluate({"extra": ""})]
    parts = [
        resource(p) for p in ("configs", "labels", "data/starter", "data/sample", "models/encoder", "models/starter")
    ]
    parts.append(Path(sys.modules["train"].__file__ or "").parent)
    sizes["yaodian"] = sum(f.stat().st_size for p in parts for f in p.rglob("*") if f.is_file() and f.suffix != ".pyc")
    return sizes


def median_and_spread(values: list[float]) -> dict[str, float]:
    """Median, least and greatest."""
    return {"median": statistics.median(values), "least": min(values), "greatest": max(values)}


def _cold_start(folder: Path) -> dict[str, float]:
    sample, out = resource("data") / "sample" / "sample.txt", folder / "out.jsonl"
    commands = {
        "yaodian": [sys.executable, "-m", "train.cli", "tag", str(sample), "-o", str(out)],
        "pipeline": [sys.executable, "-c", _PIPELINE, str(resource("models") / "starter"), str(sample)],
    }
    seconds = {}
    for name, command in commands.items():
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})
        seconds[name] = time.perf_counter() - start
    return seconds


def _job(path: Path, **settings: Any) -> Path:
    path.write_text(json.dumps(settings), encoding="utf-8")
    return path


def _run(name: str, job: Path, environment: dict[str, str]) -> dict[str, Any]:
    print(f"{name} {' '.join(environment.values())}", file=sys.stderr, flush=True)
    command = [sys.executable, str(Path(__file__).with_name("bench_rivals.py")), name, str(job)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _machine(n_threads: int) -> dict[str, Any]:
    versions = {n: distribution(n).version for n in ("openvino", "torch", "transformers", "onnxruntime", "tokenizers")}
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.is_file() else ""
    model = re.search(r"model name\s*: (.*)", text)
    units = [u for u in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {u} " in text]
    return {"processor": model[1] if model else platform.processor(), "units": units, "threads": n_threads,
            "cores": os.cpu_count(), "load_before": os.getloadavg()[0], "python": platform.python_version(), **versions}  # fmt: skip


def tables(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    machine, rates = figures["machine"], figures["items_per_second"]
    lines = [f"{machine['processor']}, {machine['threads']} threads, {', '.join(machine['units'])}; {figures['repeats']} repeats.", ""]  # fmt: skip
    for isa in ISAS:
        lines += [f"**{isa}**, items/s, median (least – greatest), and how many times faster the Tagger is:", ""]
        lines += ["| | starter | | generated | |", "|---|---|---|---|---|"]
        for rival in THROUGHPUT:
            cells = [_rate(rates, f"{isa}/{data}/", rival.__name__) for data in ("starter", "generated")]
            if any(cells):
                lines.append(f"| {rival.__name__} | " + " | ".join(c or "| " for c in cells) + " |")
        near = figures["fidelity"][isa]
        if f"{isa}/starter/yaodian" in rates:
            done = rates[f"{isa}/starter/yaodian"]["median"] * figures["work_per_item"]["starter"]["flop"]
            used = {"bf16": "bfloat16", "f32": "float32"}[near["precision"]]
            peak = figures["peak_flops"][isa][used]
            lines += ["", f"The Tagger's {done / 1e9:,.0f} GFLOP/s on the starter items are {done / peak:.0%} of the {used} peak of {peak / 1e9:,.0f}."]  # fmt: skip
        lines += [f"Beside torch fp32, {near['items']:,} items: greatest difference of a score {near['worst']:.4f}, labels equal on {near['equal']:.2%}.", ""]  # fmt: skip
    for title, key, unit, scale in (("Single item", "single_item_seconds", "ms", 1e3), ("Cold start, one plan", "cold_start_seconds", "s", 1)):  # fmt: skip
        pairs = [f"{k} {v['median'] * scale:.2f} {unit} ({v['least'] * scale:.2f} – {v['greatest'] * scale:.2f})" for k, v in figures[key].items()]  # fmt: skip
        mine, other = (v["median"] for v in figures[key].values())
        lines.append(f"{title}: {', '.join(pairs)}; {other / mine:.1f} times as fast.")
    names = ("load", "read", "tag", "write")
    seconds = {n: statistics.median(s[n] for s in figures["stages_seconds"]) for n in names}
    total, first = sum(seconds.values()), figures["stages_seconds"][0]
    lines += ["", f"Whole job, {first['plans']} plans, {first['items']:,} items to .xlsx, {total:.1f} s:", "", "| " + " | ".join(names) + " |", "|---|---|---|---|"]  # fmt: skip
    lines += ["| " + " | ".join(f"{seconds[n]:.2f} s, {seconds[n] / total:.0%}" for n in names) + " |", ""]
    sizes = figures["install_bytes"]
    largest = sorted(sizes, key=lambda n: -sizes[n])[:6]
    lines.append(f"Installed: {sum(sizes.values()) / 1e6:,.0f} MB in {len(sizes)} packages; {', '.join(f'{n} {sizes[n] / 1e6:,.0f}' for n in largest)}.")  # fmt: skip
    return "\n".join(lines)


def _rate(rates: dict[str, dict[str, float]], prefix: str, name: str) -> str:
    found, mine = rates.get(prefix + name), rates.get(prefix + "yaodian")
    if not found:
        return ""
    ratio = f"{mine['median'] / found['median']:.2f}" if mine and name != "yaodian" else ""
    return f"{found['median']:,.0f} ({found['least']:,.0f} – {found['greatest']:,.0f}) | {ratio}"


if __name__ == "__main__":
    main()
