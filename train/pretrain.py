"""`python -m train.pretrain`: composes `configs/pretrain.yaml`, then pretrains an encoder on a folder of text."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import cast

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from train.errors import ConfigError, YaodianError
from train.learning.pretraining_settings import PretrainingSettings
from train.resources import resource


def settings_from(config: DictConfig) -> PretrainingSettings:
    """Validated settings from a composed configuration.

    Raises:
        ConfigError: a setting is missing, unknown, of the wrong type or out of range.
    """
    try:
        merged = OmegaConf.merge(OmegaConf.structured(PretrainingSettings), config)
        return cast(PretrainingSettings, OmegaConf.to_object(merged))
    except OmegaConfBaseException as error:
        raise ConfigError(f"pretraining settings: {error.full_key}: {str(error).splitlines()[0]}") from error


@hydra.main(version_base="1.3", config_path=str(resource("configs")), config_name="pretrain")
def _composed(config: DictConfig) -> None:
    try:
        settings = settings_from(config)
        # Torch takes seconds to import, which a wrong setting need not wait for.
        from train.learning.pretraining_run import pretrain

        pretrain(settings)
    except YaodianError as error:
        print(error, file=sys.stderr)
        sys.exit(2)  # from here, as Hydra adds lines of its own to an error that passes through it
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last state that was written", file=sys.stderr)
        sys.exit(130)


def main(overrides: Sequence[str] | None = None) -> None:
    """Pretrains; a user's fault becomes one line on stderr and exit code 2.

    Args:
        overrides: Hydra overrides; those on the command line if None.
    """
    if overrides is not None:
        sys.argv = [sys.argv[0], *overrides]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises what it would print and end with exit code 1
    try:
        _composed()
    except HydraException as error:
        print(str(error).splitlines()[0], file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
