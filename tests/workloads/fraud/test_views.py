from __future__ import annotations

import pytest

from promise.errors import ConfigError
from promise.features.keyed import Keyed
from promise.workloads.fraud.views import keyed_of, views_of

BASE = ("entity", "other", "amount")


def test_forty_features_are_standard_and_247_are_wide() -> None:
    assert len(views_of(BASE, "7d").columns) == 40
    assert len(views_of(BASE, "7d", wide=True).columns) == 247


def test_no_feature_is_named_after_a_column() -> None:
    one = keyed_of({"entity": "KUNDE", "other": "LADEN", "amount": "EUR", "time": "t"}, "7d")
    two = keyed_of({"entity": "card", "other": "shop", "amount": "usd", "time": "when"}, "7d")
    assert one.features.columns == two.features.columns


@pytest.mark.parametrize("role", ["device", "ip", "user_agent", "location"])
def test_every_optional_role_adds_features_of_its_own_and_of_the_pair(role: str) -> None:
    added = set(views_of((*BASE, role), "7d").columns) - set(views_of(BASE, "7d").columns)
    assert any(name.startswith(f"{role}.") and "rate_label" in name for name in added)
    assert any(name.startswith(f"entity_{role}.") for name in added)


def test_without_amount_or_counterpart_what_needs_them_is_left_out() -> None:
    alone = views_of(("entity",), "7d").columns
    assert not any("amount" in name or "other" in name or "pair" in name for name in alone)
    assert "entity.rate_label_30d" in alone


def test_rates_wait_for_labels_and_a_delay_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="could include the current row"):
        views_of(BASE, "0d")
    delays = {
        feature.delay
        for view in views_of(BASE, "3d").views
        for feature in view.features
        if hasattr(feature, "delay")
    }
    assert delays == {"3d"}


def test_label_and_report_are_no_part_of_a_request() -> None:
    roles = {"entity": "c", "amount": "a", "time": "t", "label": "y", "known_at": "k", "id": "i"}
    keyed = keyed_of(roles, "7d", numbers=("age",))
    assert isinstance(keyed, Keyed)
    assert set(keyed.columns) == {"entity", "amount", "time", "id"}
    assert "now.value_age" in keyed.features.columns
