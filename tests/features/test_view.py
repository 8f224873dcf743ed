"""Declarations refuse what would leak, repeat or look further back than is kept."""

from __future__ import annotations

import pytest

from promise.errors import ArtifactError, ConfigError, DataError
from promise.features.declare import (
    Count,
    Distinct,
    Feature,
    Hour,
    IsNight,
    Last,
    Max,
    Mean,
    NeighbourRate,
    PositiveStreak,
    Rate,
    Ratio,
    Recency,
    Streak,
    Sum,
    Value,
    name_of,
)
from promise.features.event import Event, Label, refuse_future, unpacked
from promise.features.graph import edge_view, node_view
from promise.features.kernel import Kernel
from promise.features.sets import FeatureSet
from promise.features.view import FeatureView, refuse_other_versions
from promise.features.windows import duration_us


@pytest.mark.parametrize(
    "leak",
    [
        lambda: Rate("label", "30d"),
        lambda: Rate("label", "30d", delay="0d"),
        lambda: NeighbourRate("entity", "30d", delay="0s"),
        lambda: Mean("label", "30d"),
        lambda: Sum("label", "30d"),
        lambda: Last("label"),
        lambda: Value("label"),
        lambda: Distinct("label", "30d"),
        lambda: Max("label", "30d"),
        lambda: PositiveStreak("30d", delay="0s"),
        lambda: Streak("label", above=0.5),
    ],
)
def test_a_feature_that_would_leak_is_refused(leak: object) -> None:
    with pytest.raises(ConfigError, match=r"delay=|leak"):
        leak()  # type: ignore[operator]


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1.5h", "7 d", "1d2"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no duration"):
        duration_us(text)


def test_values_out_of_range_are_refused() -> None:
    for make in (
        lambda: Count("0s"),
        lambda: Streak("amount"),
        lambda: Distinct("other", "1d", cap=0),
        lambda: Max("amount", "1d", cap=0),
        lambda: PositiveStreak("0d", "1d"),
        lambda: Rate("label", "1d", "1d", prior=2.0),
        lambda: Rate("label", "1d", "1d", smoothing=-1.0),
        lambda: FeatureView("v", ("entity",), (Count("1d"),), max_events=0),
    ):
        with pytest.raises(ConfigError):
            make()


def test_a_window_beyond_the_retention_is_refused() -> None:
    with pytest.raises(ConfigError, match="longer than the retention of 30d"):
        FeatureView("v", ("entity",), (Rate("label", "30d", delay="7d"),), retention="30d")


def test_names_repeat_neither_in_a_view_nor_in_a_set() -> None:
    with pytest.raises(ConfigError, match="count_1d more than once"):
        FeatureView("v", ("entity",), (Count("1d"), Count("1d")))
    view = FeatureView("v", ("entity",), (Count("1d"),))
    with pytest.raises(ConfigError, match="several views are named v"):
        FeatureSet((view, view))


def test_windows_need_an_entity_and_a_kernel_serves_one_kind() -> None:
    with pytest.raises(ConfigError, match="name its role"):
        FeatureView("now", (), (Ratio(Value("amount"), Mean("amount", "1d")),))
    views = (FeatureView("a", ("entity",), (Count("1d"),)), FeatureView("b", (), (Hour(),)))
    with pytest.raises(ConfigError, match="one kind of entity"):
        Kernel(views)


def test_every_kind_of_feature_survives_json() -> None:
    features: tuple[Feature, ...] = (
        Count("1d"), Sum("amount", "1d"), Mean("amount", "1d"), Rate("label", "1d", "7d", 0.1, 3.0),
        Distinct("other", "1d", 9), Recency(), Streak("amount", below=2.5), Last("amount"),
        NeighbourRate("other", "1d", "7d"), Value("amount"), Hour(2), IsNight(22, 6),
        Ratio(Count("1d"), Count("7d")), Max("amount", "1d", 9), PositiveStreak("1d", "7d"),
    )  # fmt: skip
    view = FeatureView("v", ("entity", "other"), features, version=3)
    assert FeatureView.from_json(view.to_json()) == view
    assert name_of(features[6]) == "streak_amount_below_2.5_30d"
    with pytest.raises(ArtifactError, match="no stored feature view"):
        FeatureView.from_json('{"name": "v", "entity": [], "features": [], "versoin": 1}')


def test_another_version_than_trained_on_is_refused() -> None:
    view = FeatureView("customer", ("entity",), (Count("1d"),), version=2)
    refuse_other_versions([view], {"customer": 2})
    with pytest.raises(ArtifactError, match="of version 2, the model was trained on 1"):
        refuse_other_versions([view], {"customer": 1})
    with pytest.raises(ArtifactError, match="did you mean 'customer'"):
        refuse_other_versions([view], {"custmer": 2})


def test_bad_events_are_refused_at_the_door() -> None:
    for amount in (float("nan"), float("inf"), -2e11):
        with pytest.raises(DataError, match="'amount' is"):
            Event("e", 0, {}, amount)
    with pytest.raises(DataError, match="microseconds"):
        Event("e", 1 << 62, {})
    with pytest.raises(DataError, match="is the text"):
        Event("e", 0, {}, fields={"x": "y"}).number("x")
    with pytest.raises(DataError, match="is the number"):
        Event("e", 0, {}, fields={"x": 1.0}).text("x")
    with pytest.raises(DataError, match="9s in the future"):
        refuse_future(Event("e", 10_000_000, {}), 1_000_000, 5_000_000)
    with pytest.raises(DataError, match="no event and no label"):
        unpacked(b"\x00")


def test_records_survive_their_bytes() -> None:
    event = Event("e", -5, {"entity": "ann"}, -2.5, {"kind": "chip", "n": 3.0, "none": None})
    label = Label("e", 1.0, 7, {"entity": "ann"})
    assert unpacked(event.packed()) == event
    assert unpacked(label.packed()) == label


def test_keys_of_pairs_cannot_be_mistaken() -> None:
    features = FeatureSet((edge_view("pair", "entity", "other"),))
    one, two = ({"entity": "a|b", "other": "c"}, {"entity": "a", "other": "b|c"})
    assert features.keys(one) != features.keys(two)
    assert features.keys({"entity": "a"}) == (None,)


def test_a_node_view_has_each_window() -> None:
    view = node_view("device", "device", "entity", windows=("1d", "7d"))
    assert len(view.columns) == 6
    assert edge_view("pair", "entity", "device").entity == ("entity", "device")
