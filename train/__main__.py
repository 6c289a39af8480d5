"""`python -m train`: composes `configs/train.yaml`, then retrains and writes a bundle."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, NoReturn, cast

from train.errors import ConfigError, MissingExtra, YaodianError
from train.resources import resource

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from train.learning.settings import TrainSettings

_refused = 0  # runs of this sweep that were not trained


def settings_from(config: DictConfig) -> TrainSettings:
    """Validated settings from a composed configuration.

    Raises:
        ConfigError: a setting is missing, unknown, of the wrong type or out of range.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from train.learning.settings import TrainSettings

    try:
        merged = OmegaConf.merge(OmegaConf.structured(TrainSettings), config)
        settings = cast(TrainSettings, OmegaConf.to_object(merged))
    except OmegaConfBaseException as error:
        raise ConfigError(f"training settings: {error.full_key}: {str(error).splitlines()[0]}") from None
    settings.check()
    return settings


def main(overrides: Sequence[str] | None = None) -> None:
    """Retrains; a user's fault becomes one line on stderr and exit code 2.

    Args:
        overrides: Hydra overrides; those on the command line if None.
    """
    global _refused
    _refused = 0
    if overrides is not None:
        sys.argv = [sys.argv[0], *overrides]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises what it would print and end with exit code 1
    try:
        import hydra
        from hydra.errors import HydraException

        command = hydra.main(version_base="1.3", config_path=str(resource("configs").resolve()), config_name="train")(
            _job
        )
        with _processes():
            command()
        if _refused:
            _give_up(f"{_refused} of the runs of this sweep failed, see above; those that ended keep their folders")
    except ModuleNotFoundError as error:
        _give_up(_missing(error))
    except HydraException as error:
        _give_up(str(error).splitlines()[0])
    except KeyboardInterrupt:
        _give_up("stopped", 130)


def _job(config: DictConfig) -> float | None:
    """One run. What a user can mend ends the process here, as Hydra adds lines of its own to an error that passes through it.

    A sweep goes on with its other runs: it may have come through a night of them.
    """
    global _refused
    try:
        return _retrain(config)
    except YaodianError as error:
        if not (number := _number_in_sweep()):
            _give_up(str(error))
        _refused += 1
        print(f"run {number} of the sweep: {error}", file=sys.stderr)
        return math.nan
    except ModuleNotFoundError as error:
        _give_up(_missing(error))


def _number_in_sweep() -> str:
    """A run's number, which is also its folder's name; "" for one that is alone."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    run = HydraConfig.get()
    return str(run.job.num) if run.mode == RunMode.MULTIRUN else ""


def _retrain(config: DictConfig) -> float | None:
    settings = settings_from(config)
    if _number_in_sweep():  # each run of a sweep in a folder of its own
        from hydra.core.hydra_config import HydraConfig

        settings.run.dir = str(HydraConfig.get().runtime.output_dir)
    # Torch takes seconds to import, which a wrong setting need not wait for.
    from train.learning.retraining import retrain
    from train.learning.summary import find_sample, summarise

    sample = find_sample(settings.run.sample)
    try:
        metrics = retrain(settings)
    except KeyboardInterrupt:  # the folder's default is the time of day, which nobody remembers
        _give_up(f"stopped; the same command with run.dir={settings.run.dir} goes on from the last epoch", 130)
    if os.environ.get("RANK", "0") == "0":
        summarise(settings, metrics, sample)
    return cast("float | None", metrics["test"]["macro_f1"]) if metrics["test"] else None


@contextmanager
def _processes() -> Iterator[None]:
    """Where `torchrun` started several processes, joins them and agrees on a folder, whose default is the time of day."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    import torch.distributed as dist

    from train.learning.devices import process_group

    with process_group("auto"):
        if not any(argument.startswith("run.dir=") for argument in sys.argv):
            folder = [f"models/runs/{datetime.now():%Y%m%d-%H%M%S}"]
            dist.broadcast_object_list(folder)
            sys.argv.append(f"run.dir={folder[0]}")
        yield


def _missing(error: ModuleNotFoundError) -> str:
    if (error.name or "").split(".")[0] == "train":
        raise error
    return f"{MissingExtra('retraining', 'train')} (no module {error.name})"


def _give_up(message: str, code: int = 2) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
