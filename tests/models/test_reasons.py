"""Reason codes: exact where the model is, measured where it is not, silent where none is asked."""

import json
from pathlib import Path

import numpy as np
import pytest

from promise.data.answer import Class
from promise.data.columns import Columns
from promise.errors import ConfigError, DataError
from promise.job import Job
from promise.kernels.calibrating import log_odds
from promise.models.base import MATRIX, Examples
from promise.models.baseline import Baseline
from promise.models.boosting import XGBoost
from promise.models.conformance import examples
from promise.models.reasons import Fidelity, Reason, Reasons, Surrogate, r_squared, top_overlap

ANSWER = Class(("no", "yes"))
SMALL = XGBoost(rounds=40, early_stopping=0, max_depth=3, learning_rate=0.2)
CODES = (("x0", "signal"), ("x1", "signal"), ("x3", "noise"), ("x4", "noise"), ("x5", "noise"))


@pytest.fixture(scope="module")
def large() -> tuple:
    """Return a larger model, and rows for learning and for testing the small one."""
    train, held = examples(ANSWER, 1_200), examples(ANSWER, 400, seed=2)
    fitted = XGBoost(rounds=120, early_stopping=0, max_depth=6).fit(train, None, Job())
    return fitted, train, held


def _margins(fitted, data: Examples) -> np.ndarray:
    return log_odds(fitted.predict(data.columns))


@pytest.fixture(scope="module")
def reasons(large: tuple) -> Reasons:
    """Return the small model's reasons."""
    fitted, train, held = large
    margins = _margins(fitted, train), _margins(fitted, held)
    return Surrogate(SMALL, CODES).fit(train, margins[0], held, margins[1], Job())


def test_a_surrogate_says_how_near_it_is(reasons: Reasons, large: tuple) -> None:
    """R² of the log-odds on held-out rows, flagged as not exact."""
    fitted, _, held = large
    assert not reasons.fidelity.exact
    assert reasons.fidelity.rows == 400
    told = reasons.fitted.predict(held.columns)
    assert reasons.fidelity.r2 == pytest.approx(r_squared(_margins(fitted, held), told))
    assert reasons.fidelity.r2 > 0.7
    json.dumps(reasons.fidelity.to_json(), allow_nan=False)


def test_reasons_add_up_to_the_surrogate(reasons: Reasons, large: tuple) -> None:
    """Contributions and base are the small model's log-odds, exactly."""
    _, _, held = large
    total = reasons.contributions(held.matrix).sum(axis=1)
    assert np.allclose(total, reasons.fitted.predict(held.columns), atol=1e-4)


def test_only_asked_rows_are_explained(reasons: Reasons, large: tuple) -> None:
    """From .2 on; the strongest codes first, positive ones only, columns of a code together."""
    fitted, _, held = large
    score = fitted.predict(held.columns)[:, 1]
    found = reasons.many(held.matrix, score)
    parts = reasons.contributions(held.matrix)
    for row, named in enumerate(found):
        if score[row] < 0.2:
            assert named == ()
            continue
        sums = {
            "signal": parts[row, 0] + parts[row, 1],
            "x2": parts[row, 2],
            "noise": parts[row, 3:6].sum(),
        }
        expected = sorted((c for c in sums if sums[c] > 0), key=lambda c: -sums[c])[:3]
        assert [reason.code for reason in named] == expected
        assert [r.contribution for r in named] == pytest.approx([sums[c] for c in expected])
    assert any(found)
    assert reasons.many(held.matrix[:0], score[:0]) == []


def test_one_row_equals_many(reasons: Reasons, large: tuple) -> None:
    """A row's reasons do not depend on its neighbours."""
    _, _, held = large
    score = np.ones(30)
    whole = reasons.many(held.matrix[:30], score)
    assert [reasons.many(held.matrix[i : i + 1], score[:1])[0] for i in range(30)] == whole


def test_reconciling_with_exact_contributions(reasons: Reasons, large: tuple) -> None:
    """Exact contributions afterwards say how many top codes the quick ones had named."""
    fitted, _, held = large
    compared = reasons.reconciled(held.matrix, fitted.contributions(held.columns))
    assert compared.fidelity.rows == 400
    assert 0.7 < compared.fidelity.top_overlap <= 1.0
    own = Reasons(fitted, reasons.codes, Fidelity(True, 1.0, 0))
    exact = own.reconciled(held.matrix, fitted.contributions(held.columns)).fidelity
    assert exact == Fidelity(True, pytest.approx(1.0), 400, 1.0)


def test_saved_equals_fitted(reasons: Reasons, large: tuple, tmp_path: Path) -> None:
    """What is loaded names the same codes with the same digits."""
    _, _, held = large
    reasons.save(tmp_path)
    loaded = Reasons.load(tmp_path)
    assert (loaded.codes, loaded.fidelity) == (reasons.codes, reasons.fidelity)
    score = np.ones(50)
    assert loaded.many(held.matrix[:50], score) == reasons.many(held.matrix[:50], score)


def test_refuses_what_cannot_explain(large: tuple) -> None:
    """Models without contributions, missing names and columns are told in words."""
    fitted, train, held = large
    silent = Baseline().fit(train, None, Job())
    with pytest.raises(ConfigError, match="baseline splits no answer"):
        Reasons(silent, ("a",), Fidelity(True, 1.0, 0))
    with pytest.raises(DataError, match=r"expected \(n, 2\)"):
        Reasons(fitted, ("a",), Fidelity(True, 1.0, 0)).many(held.matrix, np.ones(400))
    nameless = Examples(Columns({MATRIX: train.matrix}), train.y, ANSWER)
    with pytest.raises(ConfigError, match="each of 6 matrix columns; got 0"):
        Surrogate(SMALL).fit(nameless, np.zeros(1200), held, np.zeros(400), Job())


def test_nothing_to_compare_is_not_a_score() -> None:
    """Without exact reasons there is no overlap, and constant log-odds have no R²."""
    assert top_overlap([(Reason("a", 1.0),)], [()]) is None
    assert r_squared(np.ones(3), np.ones(3)) is None
