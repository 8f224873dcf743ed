"""The linter tells what cannot be judged at the traffic there is, and keeps quiet otherwise."""

from __future__ import annotations

import pytest

from promise.promises.lint import lint
from promise.promises.spec import ModelFile, Promise, RolloutPlan

QUALITY = Promise("quality", "accuracy", at_least=0.75, due="live")
ERRORS = Promise("errors", "request_errors", at_most=0.01)


def advised(promise: Promise, traffic: float, labels: float, **more: object) -> list[str]:
    """Return the advice's sentences."""
    declared = ModelFile(promises=(promise,), rollout=RolloutPlan())
    return [each.text for each in lint(declared, traffic, labels, **more)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "once", "always"),
    [(0.80, "210", "880"), (0.78, "570", "2,460"), (0.77, "1,270", "6,520")],
)
def test_accuracy_needs_the_textbook_number_of_labels(value: float, once: str, always: str) -> None:
    (text,) = advised(QUALITY, 1e6, 100, expected={"quality": value})
    assert f"quality needs {once} labels" in text
    assert f"about {always}," in text


def test_three_days_at_your_rate() -> None:
    (text,) = advised(QUALITY, 1e6, 425)
    assert "1,270 labels, about 3 days at your rate" in text


def test_errors_are_judged_at_the_share_of_the_first_step() -> None:
    (text,) = advised(ERRORS, 5000, 0)
    assert "if all are good" in text
    assert "at 10 % of your traffic" in text
    assert "6 days" in text
    assert advised(ERRORS, 1e6, 0) == []


def test_what_is_never_judged_is_said() -> None:
    assert "there is no traffic" in advised(ERRORS, 0, 0)[0]
    assert "there are no labels" in advised(QUALITY, 1e6, 0)[0]
    (text,) = advised(QUALITY, 1e6, 1e6, expected={"quality": 0.7})
    assert text == "quality will not be kept: accuracy 0.7 is expected, and the bound is 0.75."


@pytest.mark.parametrize(
    "promise",
    [
        Promise("rank", "roc_auc", at_least=0.8, due="canary"),
        Promise("rank", "average_precision", at_least=0.6, due="live"),
        Promise("held", "accuracy", at_least=0.8, due="gate"),
        Promise("fair", "equal_opportunity_difference", at_most=0.1, of="sex", due="gate"),
        Promise("fair", "demographic_parity_ratio", at_least=0.8, of="sex", due="live"),
        Promise("drift", "psi", at_most=0.1, due="live"),
        Promise("speed", "latency_p99", at_most=12.0),
    ],
)
def test_every_measure_that_takes_rows_is_advised_on(promise: Promise) -> None:
    (text,) = advised(promise, 100, 10)
    assert text.startswith(f"{promise.key} needs")
    assert "days at your rate" in text
    assert advised(promise, 1e9, 1e9) == []


def test_levels_need_no_rows() -> None:
    assert advised(Promise("size", "memory", at_most=10.0, due="gate"), 0, 0) == []
