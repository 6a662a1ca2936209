"""Narrowboat runs heavy media jobs in a fixed amount of memory.

The public names, loaded when they are first used, so that a worker does not import the supervisor:
``Runner``, ``Step``, ``Job``, ``Pipeline``, ``Result``, ``Budget``, ``Demand``, ``Item``, ``NarrowboatError``, and the
module ``context`` for what a running step may ask and say.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from narrowboat import context
    from narrowboat.errors import NarrowboatError
    from narrowboat.memory.budget import Budget
    from narrowboat.runner.job import Job
    from narrowboat.runner.pipeline import Pipeline
    from narrowboat.runner.results import Result
    from narrowboat.runner.runner import Runner
    from narrowboat.runner.steps import Step
    from narrowboat.values import Demand, Item

__all__ = ["Budget", "Demand", "Item", "Job", "NarrowboatError", "Pipeline", "Result", "Runner", "Step", "context"]

_HOMES = {
    "Budget": "narrowboat.memory.budget",
    "Demand": "narrowboat.values",
    "Item": "narrowboat.values",
    "Job": "narrowboat.runner.job",
    "NarrowboatError": "narrowboat.errors",
    "Pipeline": "narrowboat.runner.pipeline",
    "Result": "narrowboat.runner.results",
    "Runner": "narrowboat.runner.runner",
    "Step": "narrowboat.runner.steps",
}


def __getattr__(name: str) -> Any:
    if name == "context":
        return importlib.import_module("narrowboat.context")
    if name not in _HOMES:
        raise AttributeError(f"module 'narrowboat' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
