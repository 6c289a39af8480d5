"""`python -m train`: composes `configs/train.yaml`, then retrains and writes a bundle."""

from __future__ import annotations

import os
import sys
from typing import cast

import hydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from train.errors import ConfigError, YaodianError
from train.learning.settings import TrainSettings
from train.resources import resource


def settings_from(config: DictConfig) -> TrainSettings:
    """Validated settings from a composed configuration.

    Raises:
        ConfigError: a setting is missing, unknown, of the wrong type or out of range.
    """
    try:
        merged = OmegaConf.merge(OmegaConf.structured(TrainSettings), config)
        settings = cast(TrainSettings, OmegaConf.to_object(merged))
    except OmegaConfBaseException as error:
        raise ConfigError(f"training settings: {' '.join(str(error).split())[:300]}") from None
    settings.check()
    return settings


@hydra.main(version_base="1.3", config_path=str(resource("configs").resolve()), config_name="train")
def _composed(config: DictConfig) -> float | None:
    from train.learning.summary import summarise

    try:
        settings = settings_from(config)
        from train.learning.retraining import retrain

        metrics = retrain(settings)
    except YaodianError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    if os.environ.get("RANK", "0") == "0":
        summarise(settings, metrics)
    return cast("float | None", metrics["test"]["macro_f1"])


def main() -> None:
    """Runs with the overrides on the command line."""
    _composed()


if __name__ == "__main__":
    main()
