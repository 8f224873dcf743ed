from __future__ import annotations

import pytest

from promise.errors import ConfigError
from promise.workloads.fraud.terms import OPTIONS, smote_of, terms_of


def test_defaults_stand_where_nothing_is_said() -> None:
    terms = terms_of({})
    assert terms.label_delay == "7d"
    assert terms.gap_s == 7 * 86400
    assert not terms.wide
    assert terms.review_per_day is None


def test_every_option_is_read() -> None:
    said = {
        "label_delay": "3d", "features": "wide", "review_per_day": "40", "cost_review": "2",
        "cost_review_misses": ".1", "cost_loss_share": ".5", "cost_loss_fixed": "3",
        "cost_decline_share": ".01", "cost_decline_fixed": "9", "explore": ".05",
        "explore_most": "100", "smote": ".1", "train_rows": "5000",
    }  # fmt: skip
    assert set(said) == set(OPTIONS)
    terms = terms_of(said)
    assert terms.wide
    assert (terms.costs.review, terms.costs.decline_fixed, terms.costs.loss_share) == (2, 9, 0.5)
    assert (terms.review_per_day, terms.explore, terms.explore_most) == (40, 0.05, 100)
    assert (terms.smote, terms.train_rows) == (0.1, 5000)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"label_dela": "7d"}, "did you mean 'label_delay'"),
        ({"label_delay": "0d"}, "would include the row itself"),
        ({"label_delay": "soon"}, "no duration"),
        ({"features": "many"}, "expected standard or wide"),
        ({"cost_review": "dear"}, "expected a number"),
        ({"review_per_day": "-1"}, "expected a number"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        terms_of(options)


def test_no_share_means_no_made_up_rows() -> None:
    assert smote_of(0.0) is None
    made = smote_of(0.5)
    assert made is not None
    assert made.ratio == 0.5
