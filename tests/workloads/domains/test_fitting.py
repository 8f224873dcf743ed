"""What is settled on held-out names: the lift of rare classes, how many names are judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from promise.features.names import normalise_many, pinned_suffixes
from promise.models.hashed import BITS, Batch
from promise.models.hashed_growth import empty_model
from promise.workloads.domains import fitting
from promise.workloads.domains.fitting import LIFTS, lifted

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
