"""Counters: cheap, never falling, merged over slots."""

from __future__ import annotations

from pathlib import Path

from promise.records.counters import LATENCY_EDGES_MS, Counters, Series, merged


def test_each_answer_falls_into_its_place() -> None:
    series = Series("churn", 1, "live", over={10.0: 0, 0.1: 0})
    for ms in (0.25, 0.26, 10.0, 10.1, 20_000.0):
        series.answered(ms, rows=2)
    series.failed(1.0)
    assert (series.requests, series.rows, series.errors) == (6, 10, 1)
    assert sum(series.latency) == 6
    assert series.latency[0] == 1  # a value equal to an edge belongs to it
    assert series.latency[LATENCY_EDGES_MS.index(10)] == 1
    assert series.latency[-1] == 1
    assert series.over == {10.0: 2, 0.1: 6}


def test_counts_never_fall_after_a_restart_and_merge_over_slots(tmp_path: Path) -> None:
    for slot in (0, 1):
        for _ in range(2):
            counters = Counters(tmp_path, slot)
            series = counters.series("churn", 1, "live", (10.0,))
            assert counters.series("churn", 1, "live", (10.0,)) is series
            series.answered(20.0)
            counters.count("shed", "churn", 3)
            counters.save()
    live = Counters(tmp_path, 1)
    live.series("churn", 1, "live", (10.0, 50.0)).answered(60.0)
    live.series("churn", 2, "canary", ()).failed(1.0)
    found = merged(tmp_path, live)
    first, second = found["series"]
    assert (first.requests, first.over) == (5, {10.0: 5, 50.0: 1})
    assert (second.labels, second.errors) == (("churn", 2, "canary"), 1)
    assert found["totals"] == {("shed", "churn"): 12}
    assert merged(tmp_path)["series"][0].requests == 4
    assert merged(tmp_path / "nothing") == {"series": [], "totals": {}}


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    for damage in ("{", '{"format": 9}', '{"format": 1, "series": [{"x": 1}]}', "\x00" * 50):
        (tmp_path / "slot-0.json").write_text(damage)
        assert merged(tmp_path)["series"] == []
        counters = Counters(tmp_path, 0)
        assert counters.all_series == []
    assert len(list(tmp_path.glob("slot-0.damaged-*"))) == 4
    counters.series("churn", 1, "live", ()).answered(1.0)
    counters.save()
    assert merged(tmp_path)["series"][0].requests == 1
