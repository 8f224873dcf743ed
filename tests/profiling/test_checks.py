"""Each trap is found, and clean tables are left in peace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas
import pyarrow as pa
import pytest

from promise.data.columns import Columns
from promise.data.infer import infer_schema
from promise.data.schema import Field, Schema
from promise.data.source import open_source
from promise.profiling.checks import check_profile, check_split, schema_with_findings
from promise.profiling.drift import psi
from promise.profiling.findings import Finding
from promise.profiling.profile import profile_source

N = 2000


def base(seed: int = 7, n: int = N) -> dict[str, Any]:
    """Make an honest table: numbers, categories, a date, gaps, and noise that none explains."""
    rng = np.random.default_rng(seed)
    age, income = rng.integers(18, 80, n), rng.lognormal(8, 0.5, n)
    city = rng.choice(["Rome", "Oslo", "Bern", "Lima"], n)
    risk = 0.04 * (age - 50) + 0.7 * (city == "Oslo") - 0.5 * np.log(income / 3000)
    return {
        "age": age,
        "income": pa.array(income, mask=rng.random(n) < 0.05),
        "city": city,
        "signed": np.datetime64("2025-03-01", "us") + rng.integers(0, 500, n) * 86_400_000_000,
        "score": risk * 10 + rng.normal(0, 8, n),
        "bought": np.where(risk + rng.logistic(0, 1, n) > 0, "yes", "no"),
    }


def found_in(columns: Mapping[str, Any], target: str, **options: Any) -> list[Finding]:
    source = open_source(pa.table(dict(columns)))
    schema = infer_schema(source)
    return check_profile(
        profile_source(source, schema, target=target), schema, target=target, **options
    )


def named(findings: list[Finding], check: str) -> tuple[str, ...]:
    return tuple(name for f in findings if f.check == check for name in f.columns)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("target", ["score", "bought"])
def test_an_honest_table_raises_no_alarm(seed: int, target: str) -> None:
    columns = base(seed)
    columns.pop("bought" if target == "score" else "score")
    findings = found_in(columns, target)
    assert [f for f in findings if f.severity != "note" or f.suspicious] == []
    assert len(findings) <= 1


def leaky() -> dict[str, tuple[str, dict[str, Any], str, tuple[str, ...]]]:
    """Return per trap the target, the columns that set it, the check and whom it names."""
    rng = np.random.default_rng(11)
    honest = base()
    score, yes = honest["score"], honest["bought"] == "yes"
    part, late = rng.uniform(0, 50, N), score + rng.normal(0, 12, N)
    days = rng.integers(1, 30, N) * 86_400_000_000
    return {
        "equal": ("score", {"twin": score}, "target_copy", ("twin",)),
        "scaled": ("score", {"cents": np.round(score * 100, 6)}, "target_copy", ("cents",)),
        "recoded": ("bought", {"state": np.where(yes, "B", "A")}, "target_copy", ("state",)),
        "parts": (
            "score", {"first": part, "rest": score - part}, "target_parts", ("first", "rest")
        ),
        "monotone": (
            "score", {"power": np.exp(score / 9)}, "single_feature_too_good", ("power",)
        ),
        "too good": (
            "bought", {"mark": yes + rng.normal(0, 0.2, N)}, "single_feature_too_good", ("mark",)
        ),
        "named": ("score", {"actual_length": late}, "known_after_event", ("actual_length",)),
        "gaps": (
            "bought",
            {"closing": pa.array(rng.normal(size=N), mask=~yes)},
            "known_after_event",
            ("closing",),
        ),
        "later": (
            "bought", {"returned": honest["signed"] + days}, "known_after_event", ("returned",)
        ),
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("trap", list(leaky()))
def test_columns_that_hold_the_answer_are_named_and_suspicious(trap: str) -> None:
    target, extra, check, names = leaky()[trap]
    columns = base() | extra
    columns.pop("bought" if target == "score" else "score")
    findings = found_in(columns, target)
    assert named(findings, check) == names
    assert {n for f in findings if f.suspicious for n in f.columns} == set(names)
    finding = next(f for f in findings if f.check == check)
    assert finding.fix == " ".join(f"--column ignore={n}" for n in names)


def test_a_name_or_a_signal_alone_is_no_evidence() -> None:
    rng = np.random.default_rng(5)
    columns = base() | {"duration": rng.uniform(0, 9, N)}
    columns["previous_outcome"] = columns["score"] + rng.normal(0, 12, N)
    columns["mood"] = columns["score"] + rng.normal(0, 12, N)
    del columns["bought"]
    assert [f for f in found_in(columns, "score") if f.suspicious] == []


@pytest.mark.slow
def test_one_leak_does_not_hide_another() -> None:
    rng = np.random.default_rng(5)
    columns = base()
    yes = columns["bought"] == "yes"
    columns["mark"] = yes + rng.normal(0, 0.2, N)
    columns["call_duration"] = rng.exponential(np.where(yes, 600, 150))
    del columns["score"]
    findings = found_in(columns, "bought")
    assert named(findings, "single_feature_too_good") == ("mark",)
    assert named(findings, "known_after_event") == ("call_duration",)


def test_a_code_below_all_other_values_is_noted_where_these_are_negative_too() -> None:
    rng = np.random.default_rng(5)
    columns = base() | {
        "balance": np.where(rng.random(N) < 0.08, -999, rng.normal(size=N).round(2)),
        "change": rng.choice([-9.0, -4.0, -1.0, 0.0, 2.0, 5.0, 8.0], N),
    }
    del columns["score"]
    found = [f for f in found_in(columns, "bought") if f.check == "sentinel_code"]
    assert [(f.columns, "-999" in f.fix) for f in found] == [(("balance",), True)]


def test_gaps_that_coincide_with_unlabelled_rows_are_suspicious() -> None:
    rng = np.random.default_rng(5)
    lost = rng.random(N) < 0.06
    columns = base() | {"touchdown": pa.array(rng.normal(size=N), mask=lost)}
    columns["score"] = pa.array(columns["score"], mask=lost)
    del columns["bought"]
    assert named(found_in(columns, "score"), "known_after_event") == ("touchdown",)


def test_the_time_of_a_row_is_never_to_blame() -> None:
    columns = base()
    rng = np.random.default_rng(5)
    columns["stop"] = columns["signed"] + (rng.uniform(1, 90, N) * 60e6).astype(np.int64)
    columns["minutes"] = (columns["stop"] - columns["signed"]) / np.timedelta64(1, "m")
    findings = found_in(columns, "minutes", time="signed")
    assert named(findings, "target_parts") == named(findings, "known_after_event") == ("stop",)


@pytest.mark.slow
def test_faults_of_single_columns_are_noted() -> None:
    rng = np.random.default_rng(5)
    columns = base() | {
        "row": np.arange(N),
        "customerID": [f"C-{v:06d}" for v in rng.permutation(N)],
        "shop_id": rng.integers(0, 300, N),
        "nothing": pa.nulls(N, pa.float64()),
        "same": ["x"] * N,
        "days_since": np.where(rng.random(N) < 0.8, 999, rng.integers(0, 28, N)),
        "months": np.where(rng.random(N) < 0.1, -1, rng.integers(0, 100, N)),
        "house": rng.choice(["own", "rent", "unknown"], N),
        "spike": np.where(np.arange(N) == 9, 1e6, rng.normal(size=N)),
        "fnlwgt": rng.uniform(1e4, 9e5, N),
    }
    columns["shop id"] = columns.pop("shop_id")
    columns["score"] = np.minimum(columns["score"], np.quantile(columns["score"], 0.93))
    del columns["bought"]
    findings = found_in(columns, "score")
    assert named(findings, "identifier") == ("row", "customerID")
    assert named(findings, "repeated_key") == ("shop id",)
    assert named(findings, "all_missing") == ("nothing",)
    assert named(findings, "constant") == ("same",)
    assert set(named(findings, "sentinel_code")) == {"days_since", "months"}
    assert named(findings, "null_token") == ("house",)
    assert named(findings, "outliers") == ("spike",)
    assert named(findings, "survey_weight") == ("fnlwgt",)
    assert named(findings, "target_capped") == ("score",)
    assert not any(f.suspicious for f in findings)
    fixes = {f.check: f.fix for f in findings}
    assert fixes["repeated_key"] == "--group 'shop id'"
    assert fixes["survey_weight"] == "--column ignore=fnlwgt"


def test_a_fix_in_python_runs_as_it_stands() -> None:
    rng = np.random.default_rng(3)
    size = rng.integers(1, 900, N).astype(str)
    columns = base() | {
        "room's": np.where(rng.random(N) < 0.1, "?", size),
        "size": np.where(rng.random(N) < 0.2, "about " + rng.choice(["9", "8"], N), size),
        "opened": 20250100 + rng.integers(1, 29, N),
        "event_time": 1_700_000_000 + rng.integers(0, 10**7, N),
    }
    findings = found_in(columns, "bought")
    fixes = [f for f in findings if f.check in ("null_token", "mixed_types", "coded_date")]
    assert len(fixes) == 4, fixes
    for finding in fixes:
        frame = pandas.DataFrame({n: columns[n] for n in finding.columns})
        exec(finding.fix, {"frame": frame, "pandas": pandas})
        if finding.check == "coded_date":
            assert frame[finding.columns[0]].dt.year.isin([2023, 2024, 2025]).all()


def test_what_a_careful_person_drops_is_dropped_and_the_rest_kept() -> None:
    schema = Schema(tuple(Field(n, "number") for n in ("id", "copy", "late", "age")))
    findings = [
        Finding("identifier", "warning", ("id",), "", ""),
        Finding("target_copy", "error", ("copy",), "", "", suspicious=True),
        Finding("known_after_event", "warning", ("late",), "", "", suspicious=True),
        Finding("outliers", "note", ("age",), "", ""),
    ]
    kept = schema_with_findings(schema, findings)
    assert [f.name for f in kept.inputs] == ["late", "age"]
    strict = schema_with_findings(schema, findings, drop_suspicious=True)
    assert [f.name for f in strict.inputs] == ["age"]
    alone = schema.only(("id",))
    assert schema_with_findings(alone, findings) == alone


def test_imbalance_repeats_and_sorting_are_noted() -> None:
    columns = base()
    rare = np.where(np.arange(N) < 6, "fraud", "fine")
    columns["bought"] = rare
    twice = {k: pa.concat_arrays([pa.array(v), pa.array(v)[:300]]) for k, v in columns.items()}
    findings = found_in(twice, "bought")
    assert named(findings, "imbalance") == ("bought",)
    assert "300 of 2,300 rows" in next(f for f in findings if f.check == "duplicates").evidence
    table = pa.table(base()).drop_columns("bought").sort_by("score")
    assert named(found_in(table.to_pydict(), "score"), "sorted_by_label") == ("score",)


def test_drift_is_measured_along_time_and_clocks_are_told_apart() -> None:
    columns = base()
    del columns["bought"]
    day = (columns["signed"] - columns["signed"].min()) / np.timedelta64(1, "D")
    columns["age"] = columns["age"] + (day > 250) * 40
    columns["odometer"] = day * 50.0 + np.random.default_rng(1).normal(0, 9, N)
    findings = found_in(columns, "score", time="signed")
    drift = next(f for f in findings if f.check == "drift")
    assert (drift.severity, drift.columns[0], drift.fix) == ("warning", "age", "--time signed")
    assert named(findings, "clock") == ("odometer",)


def test_psi_of_equal_samples_is_nothing_whatever_their_size() -> None:
    rng = np.random.default_rng(7)
    for n in (50, 500, 5000):
        values = [psi(rng.normal(size=n), rng.normal(size=n)) for _ in range(30)]
        assert np.mean(values) < 2.5 / n + 0.02
    words = rng.choice(["a", "b", None], 4000).astype(object)
    assert psi(words[:2000], words[2000:]) < 0.01
    assert psi(words[:2000], np.array(["a"] * 2000, dtype=object)) > 0.5


def test_a_split_that_leaks_is_told() -> None:
    rng = np.random.default_rng(7)
    x, group = rng.normal(size=2000), rng.integers(0, 200, 2000)
    columns = Columns({"x": x, "group": group.astype(np.float64)})
    schema = Schema((Field("x", "number"), Field("group", "number", role="group")))
    y = x + rng.normal(size=2000)
    train, holdout = np.arange(1500), np.arange(1500, 2000)
    assert [f.check for f in check_split(columns, y, train, holdout, schema)] == ["group_overlap"]
    clean = group < 150
    assert check_split(columns, y, clean, ~clean, schema) == []
    again = Columns({"x": np.where(np.arange(2000) >= 1900, x[:2000] * 0 + x[0], x)})
    copied = check_split(again, y, train, holdout)
    assert [f.check for f in copied] == ["train_test_overlap"]
    moved = Columns({"x": x + 3 * (np.arange(2000) >= 1500)})
    assert "split_drift" in [f.check for f in check_split(moved, y, train, holdout)]


def test_findings_are_the_same_each_time_and_survive_few_rows() -> None:
    columns = base(n=800)
    assert found_in(columns, "bought") == found_in(columns, "bought")
    for n in (2, 5, 40):
        small = {k: pa.array(v)[:n] for k, v in base(n=800).items()}
        small["bought"] = pa.array(["yes", "no"] * (n // 2) + ["no"] * (n % 2))
        assert all(isinstance(f, Finding) for f in found_in(small, "bought"))
        without_target = open_source(pa.table(small))
        schema = infer_schema(without_target)
        check_profile(profile_source(without_target, schema), schema)
