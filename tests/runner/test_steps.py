"""What can be a step, and what it is called."""

import functools
from collections.abc import Callable
from typing import Any

import pytest
import steps_for_tests as steps

from narrowboat import Demand, Step
from narrowboat.errors import UsageError
from narrowboat.sizes import MIB


def test_a_function_is_named_by_module_and_name() -> None:
    step = Step(steps.echo, memory="30M", cores=2)
    assert (step.function, step.name, step.main_path) == ("steps_for_tests:echo", "echo", None)
    assert step.demand({}) == Demand(30 * MIB, 2)


def test_a_static_method_is_named_by_its_class() -> None:
    assert Step(steps.Holder.method).function == "steps_for_tests:Holder.method"


def test_a_string_is_not_imported() -> None:
    assert Step("no_such_package.module:function").name == "function"


def test_a_demand_may_follow_from_facts() -> None:
    step = Step(steps.echo, demand=lambda facts: Demand(facts["pages"] * MIB, 0))
    assert step.demand({"pages": 7}) == Demand(7 * MIB, 0)


def nested() -> Callable[[Any], Any]:
    def inner(given: Any) -> Any:
        return given

    return inner


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda given: given, "lambda"),
        (nested(), "inside another function"),
        (functools.partial(steps.echo, 1), "can't be a step"),
        (len, "can't be a step"),
        (steps.Holder, "can't be a step"),
        ("just_a_name", "names no step"),
    ],
)
def test_what_a_worker_could_not_find_again_is_refused(function: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Step(function)
