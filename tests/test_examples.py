"""The examples in docstrings are true."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "train.corpus.agreement",
        "train.corpus.doubts",
        "train.evaluation.metrics",
        "train.labeling.selection",
        "train.plans.repair",
        "train.plans.units",
    ],
)
def test_the_examples_of_a_module_give_what_they_say(module):
    found = importlib.import_module(module)
    result = doctest.testmod(found, extraglobs={"np": importlib.import_module("numpy")})
    assert result.attempted > 0
    assert result.failed == 0
