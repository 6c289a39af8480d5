"""The `yaodian` command: items · tag · evaluate · label · offline · serve · train · pretrain.

Exit codes: 0 done · 1 done, but some inputs failed, each named on stderr · 2 the user's fault, one line on stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from train.errors import ConfigError, YaodianError
from train.labeling.steering import app as label_app
from train.plans.readers import TIMEOUT

app = typer.Typer(
    name="yaodian",
    help="Numbered items of health work plans, tagged with themes. 卫生健康工作要点:条目与主题。",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(label_app)

Paths = Annotated[
    list[Path], typer.Argument(help="Plans: .txt .md .html .mhtml .docx .pdf, or folders of them.", show_default=False)
]
Model = Annotated[
    Path | None, typer.Option("--model", help="A bundle; the shipped one if left out.", show_default=False)
]
Workers = Annotated[
    int | None, typer.Option(help="Processes that read; as many as cores if left out.", min=1, show_default=False)
]
Timeout = Annotated[float, typer.Option(help="Seconds that reading one file may take.", min=0.1)]
_ANY_ARGUMENTS = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


class Engine(StrEnum):
    """What `tag` runs on."""

    local = "local"
    ray = "ray"


@app.command()
def items(
    paths: Paths,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where rows go; JSON Lines on stdout if left out.")
    ] = None,
    without: Annotated[str, typer.Option(help="Repair steps to leave out, by name, with commas between.")] = "",
    skipped: Annotated[bool, typer.Option(help="Report every line that became neither item nor heading.")] = False,
    workers: Workers = None,
    timeout: Timeout = TIMEOUT,
) -> None:
    """Read plans into items, without tagging."""
    from train.batch import read_items

    steps = {w.strip() for w in without.split(",") if w.strip()}
    _finish(read_items(paths, output, steps, skipped, workers, timeout))


@app.command()
def tag(
    paths: Paths,
    output: Annotated[Path, typer.Option("-o", "--output", help="OUT.jsonl, .csv, .xlsx, .parquet or .html")],
    model: Model = None,
    workers: Workers = None,
    timeout: Timeout = TIMEOUT,
    restart: Annotated[bool, typer.Option("--restart", help="Throw away what an unfinished run has tagged.")] = False,
    engine: Annotated[Engine, typer.Option(help="This process, or the machines of a Ray cluster.")] = Engine.local,
    address: Annotated[
        str | None, typer.Option(help="Of the cluster: auto or ray://HOST:10001; started here if left out.")
    ] = None,
) -> None:
    """Tag plans, or rows that already are items (.jsonl, .parquet); one table comes out. Cut short, the same command goes on."""
    if engine is Engine.ray:
        from train.cluster import tag_on_cluster

        _finish(tag_on_cluster(paths, output, model, address))
        return
    if address:
        raise ConfigError("--address: is for --engine ray")
    from train.batch import tag_files

    _finish(tag_files(paths, output, model, workers, timeout, restart))


@app.command()
def evaluate(
    gold: Annotated[Path, typer.Argument(help="Annotated item rows: .jsonl, or a folder of them.")],
    model: Model = None,
    train: Annotated[
        Path | None,
        typer.Option("--train", help="Rows the baselines learn from; those the bundle learned from if left out."),
    ] = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write the figures as JSON.")] = None,
    html_out: Annotated[
        Path | None, typer.Option("--html", help="Write a page with figures and every wrong item.")
    ] = None,
) -> None:
    """F1 on annotated plans, beside a keyword list and a linear model trained on the same rows."""
    from train.evaluation.run import evaluate_file

    evaluate_file(gold, model, train, json_out, html_out)


@app.command()
def offline(
    folder: Annotated[Path, typer.Argument(help="The folder to make; copy it to the PCs.", show_default=False)],
    model: Model = None,
    platform: Annotated[str, typer.Option(help="The PCs, as wheels name them.")] = "win_amd64",
    python: Annotated[
        str, typer.Option(help="The Python on those PCs; as here if left out.", show_default=False)
    ] = f"{sys.version_info.major}.{sys.version_info.minor}",
) -> None:
    """Make a folder that installs yaodian and its tagger without a network."""
    from train.offline.folder import make_folder
    from train.offline.target import Target

    target = Target(platform, python)
    size = make_folder(folder, model, target)
    print(
        f"{folder}: {size / 1e6:,.0f} MB, for {target}; copy it there and run install.{'bat' if target.is_windows else 'sh'}",
        file=sys.stderr,
    )


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Beyond this machine only with a secret in YAODIAN_SERVE_SECRET.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="0 for any free one.", min=0, max=65535)] = 9090,
    model: Model = None,
    runs: Annotated[Path, typer.Option(help="Where retrained bundles go.")] = Path("models/runs"),
    train: Annotated[
        list[str] | None, typer.Option("--train", help="An override of `python -m train`, for retraining.")
    ] = None,
    retrain_after: Annotated[
        int, typer.Option(help="Retrain after so many new annotations; 0: when Label Studio says so.", min=0)
    ] = 0,
) -> None:
    """Serve the model to Label Studio as its ML backend."""
    from train.labeling.backend import serve as serve_model

    serve_model(host, port, model, runs, train or [], retrain_after)


@app.command("train", context_settings=_ANY_ARGUMENTS)
def train_command(context: typer.Context) -> None:
    """Retrain: the same as `python -m train`, with its overrides."""
    _hydra("train", context.args, "retraining")


@app.command("pretrain", context_settings=_ANY_ARGUMENTS)
def pretrain_command(context: typer.Context) -> None:
    """Pretrain an encoder: the same as `python -m train.pretrain`, with its overrides."""
    _hydra("train.pretrain", context.args, "pretraining")


def _hydra(module: str, arguments: list[str], feature: str) -> None:
    import importlib

    from train.errors import MissingExtra

    sys.argv = [f"python -m {module}", *arguments]
    try:
        entry: Callable[[], None] = importlib.import_module(f"{module}.__main__" if module == "train" else module).main
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("train"):
            raise
        raise MissingExtra(feature, "train") from None
    entry()


def _finish(failed: int) -> None:
    if failed:
        raise typer.Exit(1)


def _give_up(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(2)


def main() -> None:
    """Runs the command; a user's fault is one line on stderr and exit code 2."""
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], prog_name=app.info.name, standalone_mode=False) or 0)
    except YaodianError as error:
        _give_up(str(error))
    except _USAGE_ERROR as error:
        _give_up(_usage(error))
    except (KeyboardInterrupt, typer.Abort):
        print("stopped", file=sys.stderr)
        sys.exit(130)


# Typer's newer versions carry a click of their own, older ones use the one that is installed.
_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[2]


def _usage(error: Any) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "yaodian"
    return f"{' '.join(error.format_message().split())} See `{command} --help`."


if __name__ == "__main__":
    main()
