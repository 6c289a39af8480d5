"""The whole loop on this machine: label ten plans, train, see F1 move. `make labelstudio-demo`.

Starts a Label Studio of its own, makes the project, pushes ten plans of the starter corpus with the pre-labels of the shipped tagger, has a made-up
annotator answer as the corpus does, pulls, and trains from the bare encoder: once on the first three plans, once on all ten. F1 is that on ten other
plans. Every command is printed before it runs. The server stays, so that you can look around; about six minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from label_studio_sdk import LabelStudio

from train.labeling.tasks import choice_result
from train.resources import resource
from train.rows import Row, plan_names, read_rows, write_rows
from train.taxonomy import Taxonomy

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / ".labelstudio" / "run"
TITLE = "demo: ten plans"


def main() -> None:
    """Tells the story."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="of python -m train, such as optim.epochs=4")
    arguments = parser.parse_args()
    if not answers():
        run([str(ROOT / "scripts" / "labelstudio"), "start"])
    url = (RUN / "url").read_text()
    os.environ |= {"LABEL_STUDIO_URL": url, "LABEL_STUDIO_API_KEY": (RUN / "refresh").read_text()}
    forget(url)
    rows = read_rows(resource("data") / "starter", Taxonomy.load())
    names = plan_names(rows)
    with tempfile.TemporaryDirectory() as folder:
        plans, gold = Path(folder) / "plans.jsonl", Path(folder) / "gold.jsonl"
        chosen = [row for row in rows if row["plan"] in names[:10]]
        write_rows(plans, [{k: v for k, v in row.items() if k not in ("labels", "annotations")} for row in chosen])
        write_rows(gold, [row for row in rows if row["plan"] in names[10:20]])
        yaodian("label", "init", "--project", TITLE)
        yaodian("label", "push", str(plans), "--project", TITLE)
        moved = [step(url, chosen, names[:n], Path(folder), gold, arguments.overrides) for n in (3, 10)]
    print("\nplans labelled  macro-F1 on ten other plans")
    for n, f1 in zip((3, 10), moved, strict=True):
        print(f"{n:14}  {f1:.3f}")
    print(f"\nLook around at {url} (user admin@example.com, password in {RUN}/password).")
    print("Done with it? scripts/labelstudio stop")


def answers() -> bool:
    """Whether the server runs; after a reboot its files are there, but it is not."""
    try:
        with urllib.request.urlopen((RUN / "url").read_text() + "/health", timeout=10):  # noqa: S310 - our own loopback address
            return True
    except OSError:
        return False


def forget(url: str) -> None:
    """Deletes the project of an earlier demo, whose answers would be there before they are given."""
    client = LabelStudio(base_url=url, api_key=os.environ["LABEL_STUDIO_API_KEY"])
    for project in list(client.projects.list()):
        if project.title == TITLE:
            client.projects.delete(project.id)


def step(url: str, rows: list[Row], plans: list[str], folder: Path, gold: Path, overrides: list[str]) -> float:
    """Labels some plans, pulls, trains, measures."""
    answer(url, {json.dumps([r["plan"], r["number"], r["text"]]): r["labels"] for r in rows if r["plan"] in plans})
    labels, bundle, figures = folder / "labels.jsonl", folder / f"run{len(plans)}", folder / "f1.json"
    yaodian("label", "pull", "-o", str(labels), "--project", TITLE)
    small = ["data.held_out=0.0", "data.validation=0.3", "data.n_folds=0", "run.progress=false"]
    run([sys.executable, "-m", "train", f"data.path={labels}", f"run.dir={bundle}", *small, *overrides])
    yaodian("evaluate", str(gold), "--model", str(bundle), "--train", str(labels), "--json", str(figures))
    return float(json.loads(figures.read_text(encoding="utf-8"))["macro_f1"])


def answer(url: str, gold: dict[str, list[str]]) -> None:
    """The made-up annotator: ticks the themes and presses Submit, where nobody has."""
    client, taxonomy = LabelStudio(base_url=url, api_key=os.environ["LABEL_STUDIO_API_KEY"]), Taxonomy.load()
    (project,) = (p for p in client.projects.list() if p.title == TITLE)
    n_done = 0
    for task in client.tasks.list(project=project.id, page_size=200, include="id,data,total_annotations"):
        row = json.loads(task.data["row"])
        key = json.dumps([row["plan"], row["number"], row["text"]])
        if key in gold and not task.total_annotations:
            client.annotations.create(id=task.id, result=[choice_result(gold[key], taxonomy)], lead_time=8.0)
            n_done += 1
    print(f"{n_done} items labelled")


def yaodian(*arguments: str) -> None:
    """A command of ours."""
    print("\n$ yaodian " + shlex.join(arguments), flush=True)
    subprocess.run([sys.executable, "-m", "train.cli", *arguments], check=True)


def run(command: list[str]) -> None:
    """A command, shown as a person would type it."""
    shown = ["python" if part == sys.executable else part for part in command]
    print("\n$ " + shlex.join(shown), flush=True)
    subprocess.run(command, check=True)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"stopped: the command above ended with code {error.returncode}")
