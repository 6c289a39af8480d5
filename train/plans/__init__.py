"""A file in, a Plan of Items out: read, repair, outline. Knows nothing of models."""

from train.plans.plan import Item, Plan, read_plan

__all__ = ["Item", "Plan", "read_plan"]
