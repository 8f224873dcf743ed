"""What is settled on held-out names: the lift of rare classes, how many names are judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from promise.features.names import normalise_many, pinned_suffixes
from promise.features.names_rules import NO_RULES
from promise.models.hashed import BITS, Batch, HashedLinear, counted
from promise.models.hashed_growth import empty_model
from promise.workloads.domains import fitting
from promise.workloads.domains.fitting import LIFTS, Fitted, lifted, settled_on

COUNTS = np.array([990, 10])


def batch_of(codes: list[int]) -> Batch:
    names = normalise_many([f"name{i}.com" for i in range(len(codes))], pinned_suffixes())
    return Batch(names.data, names.offsets, names.cuts, np.array(codes, np.int64))


@pytest.mark.parametrize(("code", "lift"), [(1, LIFTS[1]), (0, 0.0)])
def test_rare_classes_are_raised_by_no_more_than_held_out_names_ask_for(
    code: int, lift: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "LEAST_LIFTED", 10)
    model = empty_model(np.zeros(1 << BITS, np.int64), 1, 2, background=False)
    model = replace(model, bias=np.array([0.0, -0.05], np.float32))  # a little too low
    found = lifted(model, batch_of([code] * 10), COUNTS)
    assert found.lift is not None
    expected = -lift * np.log((COUNTS + 1) / (COUNTS.sum() + 2))
    np.testing.assert_allclose(found.lift, expected, rtol=1e-6)
    assert (found.of(batch_of([code])).argmax(axis=1) == code).all()


def test_few_held_out_names_raise_nothing() -> None:
    model = empty_model(np.zeros(1 << BITS, np.int64), 1, 2, background=False)
    assert lifted(model, batch_of([1] * 10), COUNTS) is model


def two_sided(slope: float) -> HashedLinear:
    """Return a model of one class and of none that is sure of itself by as much."""
    batch = batch_of([0] * 200)
    model = empty_model(counted([batch]), 200, 1, background=True)
    rng = np.random.default_rng(3)
    weights = rng.normal(0.0, slope, model.weights.shape).astype(np.float32)
    return replace(model, weights=weights)


def test_the_threshold_of_the_final_model_rejects_as_many_names_of_no_class_as_before() -> None:
    none = batch_of([1] * 200)
    before, final = two_sided(0.1), two_sided(0.4)
    threshold = float(np.quantile(before.of(none)[:, 0], 0.3))
    found = settled_on(
        final, Fitted(before, NO_RULES, threshold, {"unknown": {"rejected": 0.3}}), none
    )
    assert found.threshold != threshold
    assert (final.of(none)[:, 0] < found.threshold).mean() == pytest.approx(0.3, abs=0.01)
    assert found.told["unknown"] == {"rejected": 0.3, "threshold": found.threshold}
    assert settled_on(final, Fitted(before, NO_RULES, threshold, {}), None).threshold == threshold
