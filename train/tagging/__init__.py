"""A bundle in, tagged rows out. Never imports torch or transformers."""

from train.tagging.tagger import Tagger

__all__ = ["Tagger"]
