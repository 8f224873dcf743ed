"""Splits are sealed by rule, survive being written down, and are chosen by evidence."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.data.answer import Class, Number
from promise.data.columns import Columns
from promise.data.evidence import ordered, within_groups
from promise.data.folds import folds
from promise.data.infer import infer_schema, read_columns
from promise.data.schema import Field, Schema
from promise.data.source import open_source
from promise.data.split import Split, choose_split, time_cutoff
from promise.data.synthetic import event_table, grouped_table, known_table
from promise.errors import ConfigError, DataError


def chosen(table, answer, **named):
    source = open_source(table)
    schema = infer_schema(source)
    columns, rows = read_columns(source, schema)
    inputs = schema.only(tuple(n for n in schema.names if n != "target"))
    y = columns["target"]
    return choose_split(columns, inputs, y, answer, rows, seed=7, **named)


def shuffled(table):
    return table.take(np.random.default_rng(1).permutation(table.num_rows))


def test_evidence_decides():
    ordered_rows = chosen(known_table(400), Number())
    assert (ordered_rows.kind, ordered_rows.column) == ("temporal", "day")
    assert "rank correlation 1.00" in ordered_rows.reason
    assert chosen(shuffled(known_table(400)), Number()).kind == "stratified"
    grouped = chosen(grouped_table(), Number())
    assert (grouped.kind, grouped.column) == ("grouped", "patient_id")
    assert chosen(grouped_table(spread=0.0), Number()).kind == "stratified"
    assert chosen(event_table(), Class(("0", "1"))).kind == "temporal"


def test_what_the_user_names_wins():
    table = shuffled(known_table(400))
    assert chosen(table, Number(), time="day").kind == "temporal"
    assert chosen(table, Number(), time="age").cutoff.isdigit()
    assert chosen(table, Number(), group="noise").kind == "grouped"
    with pytest.raises(DataError, match="there is no column 'dey'; did you mean 'day'"):
        chosen(table, Number(), time="dey")
    with pytest.raises(DataError, match="'city' holds text"):
        chosen(table, Number(), time="city")


def test_birth_dates_and_things_are_no_evidence():
    days = np.datetime64("1980-01-01", "us") + np.arange(300) * np.timedelta64(86400, "s")
    columns = Columns({"birth_date": days, "product_id": np.arange(300.0) // 6})
    schema = Schema((Field("birth_date", "date"), Field("product_id", "number")))
    y = np.arange(300.0) // 6
    split = choose_split(columns, schema, y, Number(), np.arange(300), seed=7)
    assert split.kind == "stratified"


def test_order_and_likeness_by_hand():
    days = np.arange(20).astype("M8[D]").astype("M8[us]")
    assert ordered(days, np.arange(20)) == pytest.approx(1.0)
    assert ordered(days[::-1], np.arange(20)) == pytest.approx(-1.0)
    assert ordered(days[:5], np.arange(5)) == 0.0
    codes = np.repeat(np.arange(50), 4)
    assert within_groups(codes, codes.astype(float), False) == pytest.approx(1.0)
    noise = np.random.default_rng(7).normal(size=200)
    assert abs(within_groups(codes, noise, False)) < 0.15


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=8, max_size=120), st.integers(2, 5), st.integers(0, 9))
def test_stratified_folds(labels, k, seed):
    y, rows = np.array(labels), np.arange(100, 100 + len(labels))
    split = Split("stratified", 0.2, seed)
    pairs = folds(split, k, rows, y=y)
    np.testing.assert_array_equal(np.sort(np.concatenate([v for _, v in pairs])), rows - 100)
    counts = np.bincount(y, minlength=4)
    for train, valid in pairs:
        assert not set(train) & set(valid)
        inside = np.bincount(y[train], minlength=4)
        assert (inside[counts >= 2] >= 1).all()
        even = counts / k
        assert (np.abs(np.bincount(y[valid], minlength=4) - even) < 1).all()
    side = split.holdout(rows, y=y)
    held = np.bincount(y[side == 1], minlength=4)
    large = counts >= 5
    assert (np.abs(held - 0.2 * counts)[large] <= 0.5 + 1e-9).all()
    assert abs(held.sum() - 0.2 * len(y)) <= 0.5 * (large.sum() + 1) + 1e-9
    assert (2 * held <= counts + (counts == 1)).all()


@settings(deadline=None)
@given(st.integers(0, 50))
def test_groups_stay_whole(seed):
    group = np.random.default_rng(seed).integers(0, 60, 400).astype(float)
    rows = np.arange(400)
    split = Split("grouped", 0.25, seed, "g")
    side = split.holdout(rows, group=group)
    assert not set(group[side == 1]) & set(group[side == 0])
    texts = np.array([str(int(g)) for g in group], dtype=object)
    np.testing.assert_array_equal(split.holdout(rows, group=texts), side)
    sizes = []
    for train, valid in folds(split, 4, rows, y=np.zeros(400), group=group):
        assert not set(group[train]) & set(group[valid])
        sizes.append(len(valid))
    assert max(sizes) - min(sizes) <= 20


def test_temporal_windows_keep_past_gap_and_future_apart():
    time = np.datetime64("2024-01-01", "us") + np.arange(600) * np.timedelta64(3600, "s")
    split = Split("temporal", 0.2, 7, "t", time_cutoff(time, 0.2), gap_s=7200.0)
    side = split.holdout(np.arange(600), time=time)
    assert [int((side == s).sum()) for s in (0, -1, 1)] == [478, 2, 120]
    pairs = folds(split, 3, np.arange(600), y=np.zeros(600), time=time)
    assert len(pairs) == 3
    for train, valid in pairs:
        assert time[valid].min() - time[train].max() > np.timedelta64(7200, "s")
    assert len(folds(split, 1, np.arange(600), y=np.zeros(600), time=time)) == 1
    time[5] = np.datetime64("NaT")
    assert split.holdout(np.arange(600), time=time)[5] == -1


def test_a_row_keeps_its_side_in_other_company():
    rows = np.arange(1000)
    random = Split("random", 0.3, 7)
    np.testing.assert_array_equal(random.holdout(rows)[500:], random.holdout(rows[500:]))
    assert random.holdout(rows).mean() == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize(
    ("y", "sealed"),
    [
        (np.arange(20.0) ** 3, 4),  # twenty numbers, each its own stratum
        (np.repeat(np.arange(1000), 2), 400),  # a thousand classes of two rows
        (np.repeat(np.arange(1000), 2).astype(str).astype(object), 400),
        (np.r_[np.zeros(80, int), np.arange(1, 21)], 16),  # single rows stay to be learned from
        (np.arange(50), 10),  # nothing but single rows
    ],
)
def test_small_strata_are_pooled_and_keep_a_row_to_learn_from(y, sealed):
    rows = np.random.default_rng(3).permutation(len(y))
    side = Split("stratified", 0.2, 7).holdout(rows, y=y)
    assert abs(int(side.sum()) - sealed) <= 4 * (sealed == 16)
    if len(np.unique(y)) == 1000:
        assert len(np.unique(y[side == 0])) == 1000
    if y.dtype.kind == "f":  # low and high numbers alike
        assert y[side == 1].min() < np.median(y) < y[side == 1].max()


def test_no_side_is_empty():
    table = known_table(9)
    with pytest.raises(DataError, match=r"9 rows have a label.*at least 10.*add rows"):
        chosen(table, Number())
    with pytest.raises(DataError, match="give a shorter gap"):
        chosen(known_table(100), Number(), time="day", gap_s=1e10)


@pytest.mark.parametrize("n_groups", [3, 4, 8])
def test_few_groups_make_fewer_folds(n_groups):
    group = np.arange(60.0) % n_groups
    columns, schema = Columns({"g": group}), Schema((Field("g", "number"),))
    for seed in range(9):
        split = choose_split(
            columns, schema, np.arange(60.0), Number(), np.arange(60), group="g", seed=seed
        )
        train = np.flatnonzero(split.holdout(np.arange(60), group=group) == 0)
        pairs = folds(split, 10, train, y=train, group=group[train])
        assert 2 <= len(pairs) == len(set(group[train])) < n_groups
        assert all(len(learn) and len(valid) for learn, valid in pairs)


def test_one_or_two_groups_are_refused_with_the_way_out():
    split = Split("grouped", 0.2, 7, "g")
    with pytest.raises(DataError, match=r"one value of 'g'.*name another column with --group"):
        folds(split, 10, np.arange(20), y=np.arange(20), group=np.ones(20))
    columns, schema = Columns({"g": np.arange(20.0) % 2}), Schema((Field("g", "number"),))
    with pytest.raises(DataError, match=r"'g' has 2 values.*name another column with --group"):
        choose_split(columns, schema, np.arange(20), Number(), np.arange(20), group="g", seed=7)


def test_splits_survive_json_and_describe_themselves():
    split = Split("temporal", 0.2, 7, "dteday", "2012-08-07", 0.0, "because")
    assert Split.from_json(json.loads(json.dumps(split.to_json()))) == split
    told = "the latest 20 % of rows by `dteday` (from 2012-08-07, gap 0 s)"
    assert split.describe() == told
    assert Split("stratified", 0.125, 7).describe().startswith("a random 12.5 % of rows, in equal")
    with pytest.raises(ConfigError, match="needs `time`"):
        split.holdout(np.arange(3))
    with pytest.raises(DataError, match="single value"):
        time_cutoff(np.ones(5), 0.2)
    with pytest.raises(DataError, match="2 rows are too few to seal 20%"):
        Split("stratified", 0.2, 7).holdout(np.arange(2), y=np.array([0, 1]))


def test_a_single_fold_is_one_validation_split() -> None:
    split = Split("stratified", 0.2, 7)
    y = np.repeat([0, 1], 50)
    (pair,) = folds(split, 1, np.arange(100), y=y)
    train, valid = pair
    assert len(valid) == 20
    assert sorted([*train, *valid]) == list(range(100))
    assert y[valid].mean() == 0.5
