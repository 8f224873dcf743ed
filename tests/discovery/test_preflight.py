"""The preflight's decisions: everything, a sample, fewer fits at once, or a refusal in words."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.data.answer import Answer, Class, Number
from promise.data.rows import Size
from promise.data.schema import Field, Schema
from promise.discovery.preflight import Costs, Preflight, preflight
from promise.errors import MemoryRefused
from promise.models.boosting import LightGBM

SCHEMA = Schema(
    (
        *(Field(f"n{i}", "number") for i in range(18)),
        Field("town", "category"),
        Field("y", "number", role="label"),
    )
)


class Light:
    """A family that needs little."""

    kind: ClassVar[str] = "light"
    extra: ClassVar[str | None] = None
    ordered: ClassVar[bool] = False

    @classmethod
    def memory_mb(cls, rows: int, columns: int, classes: int) -> float:
        return rows * columns * max(1, classes) / 2**20


class Heavy(Light):
    """A family that needs five hundred times as much."""

    kind: ClassVar[str] = "heavy"

    @classmethod
    def memory_mb(cls, rows: int, columns: int, classes: int) -> float:
        return 500 * Light.memory_mb(rows, columns, classes)


def plan(
    rows: int,
    *,
    sample: int | None = None,
    memory_mb: float | None = 4096,
    threads: int = 2,
    families: tuple[type[Any], ...] = (Light,),
    answer: Answer | None = None,
    budget_s: float | None = 60,
    pace: float = 1.0,
) -> Preflight:
    return preflight(
        Size(rows, True, rows * 100),
        SCHEMA,
        answer or Number(),
        families=families,
        sample=rows if sample is None else sample,
        memory_mb=memory_mb,
        threads=threads,
        budget_s=budget_s,
        pace=pace,
    )


def test_a_small_table_is_used_whole() -> None:
    found = plan(10_000)
    assert (found.how, found.rows_used, found.at_once) == ("in memory", 10_000, 2)
    assert found.peak_mb < 4096
    assert found.eta_s == 60
    assert found.warnings == ()


def test_a_sample_that_was_asked_for_is_said_to_be_one() -> None:
    found = plan(1_000_000, sample=100_000)
    assert (found.how, found.rows_used) == ("sampled", 100_000)
    assert "asked for" in found.reason


def test_a_source_larger_than_memory_is_streamed() -> None:
    found = plan(40_000_000, sample=100_000)
    assert found.how == "streamed"
    assert found.families[0].how == "sampled"


def test_what_does_not_fit_is_sampled_with_the_reason_and_the_way_out() -> None:
    found = plan(4_000_000, memory_mb=1200)
    assert 100_000 < found.rows_used < 3_000_000
    assert found.peak_mb <= 1200
    assert found.at_once == 1
    assert any("--memory" in line for line in found.warnings)


def test_fewer_fits_at_once_come_before_fewer_rows() -> None:
    found = plan(100_000, memory_mb=600, threads=16, families=(Light,))
    assert found.rows_used == 100_000
    assert 1 <= found.at_once < 16


def test_a_family_that_would_shrink_the_sample_is_left_out() -> None:
    found = plan(200_000, memory_mb=1200, families=(Light, Heavy))
    assert found.rows_used == 200_000
    assert [f.how for f in found.families] == ["in memory", "refused"]
    assert any("heavy" in line for line in found.warnings)


def test_what_cannot_fit_is_refused_with_the_need_and_the_way_out() -> None:
    with pytest.raises(MemoryRefused, match=r"even 1,000 rows .* the bound is 200 MB; .*--memory"):
        plan(1_000_000, memory_mb=200)


def test_the_refusal_names_a_bound_that_is_accepted() -> None:
    with pytest.raises(MemoryRefused) as caught:
        plan(1_000_000, memory_mb=200)
    named = str(caught.value).split("--memory ")[1].split("GB")[0]
    assert plan(1_000_000, memory_mb=float(named) * 1024).rows_used >= 1_000


class Ordered(Heavy):
    """A family that reads rows in order."""

    kind: ClassVar[str] = "ordered"
    ordered: ClassVar[bool] = True


def test_a_family_that_needs_an_order_counts_only_where_there_is_one() -> None:
    assert plan(10_000, families=(Light, Ordered)).peak_mb == plan(10_000).peak_mb
    forced = preflight(
        Size(10_000, True, 1_000_000), SCHEMA, Number(), families=(Light, Ordered), sample=10_000,
        memory_mb=4096, threads=2, budget_s=60, forced=True,
    )  # fmt: skip
    assert [f.name for f in forced.families] == ["light", "ordered"]
    dated = Schema((*SCHEMA.fields, Field("day", "date")))
    size = Size(10_000, True, 1_000_000)
    found = preflight(
        size, dated, Number(), families=(Light, Ordered), sample=10_000, memory_mb=4096,
        threads=2, budget_s=60,
    )  # fmt: skip
    assert [f.name for f in found.families] == ["light", "ordered"]


class Growing(Heavy):
    """A family whose fit grows until the clock ends it."""

    kind: ClassVar[str] = "random_forest"


def test_what_is_expected_is_no_worst_case() -> None:
    hour, minute = (
        plan(100_000, families=(Light, Growing), budget_s=s).peak_mb for s in (3600, 60)
    )
    assert minute < hour < plan(100_000, families=(Light, Heavy)).peak_mb
    alone = plan(100_000, families=(Growing,), budget_s=3600)
    assert alone.at_once == 2
    assert alone.peak_mb > hour, "where nothing else races, two such fits run at once"


class Middling(Light):
    """A family that needs less than the heavy one, and more than the light one."""

    kind: ClassVar[str] = "middling"

    @classmethod
    def memory_mb(cls, rows: int, columns: int, classes: int) -> float:
        return 100 * Light.memory_mb(rows, columns, classes)


def test_the_two_neediest_fits_are_expected_to_meet() -> None:
    costs = Costs.of(Size(100_000, True, 10_000_000), SCHEMA, Number())
    full = dict.fromkeys((Light, Middling, Heavy), 1.0)
    one, two, three = (costs.racing_mb(full, 100_000, at_once) for at_once in (1, 2, 3))
    middling = costs.fit_mb(Middling, 100_000) - costs.matrix_mb(100_000)
    assert two - one == pytest.approx(middling)
    assert three - two < middling
    cut = costs.racing_mb({**full, Heavy: 0.5}, 100_000, 2)
    assert two - cut == pytest.approx(0.5 * Heavy.memory_mb(100_000, costs.matrix_columns, 0))


class Deep(Light):
    """A family that brings a large library into each process that reads it."""

    kind: ClassVar[str] = "deep"
    extra: ClassVar[str | None] = "deep"


def test_a_large_library_counts_where_a_model_is_judged_and_where_it_is_verified() -> None:
    costs = Costs.of(Size(10_000, True, 1_000_000), SCHEMA, Number())
    light, beside, alone = (
        costs.expected_mb(dict.fromkeys(families, 1.0), 10_000, 1)
        for families in ((Light,), (Light, Deep), (Deep,))
    )
    assert light < beside < alone
    assert alone == costs.peak_mb([Deep], 10_000, 1)


def test_a_busy_machine_grows_smaller_forests() -> None:
    idle, busy = (
        plan(100_000, families=(Light, Growing), pace=pace).peak_mb for pace in (1.0, 3.0)
    )
    assert busy < idle


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 2_000_000),
    memory_mb=st.integers(1024, 8192),
    threads=st.integers(1, 8),
    classes=st.sampled_from([0, 2, 50]),
)
def test_a_plan_never_exceeds_its_bound(
    rows: int, memory_mb: int, threads: int, classes: int
) -> None:
    answer = Class(tuple(map(str, range(classes)))) if classes else Number()
    found = plan(rows, memory_mb=memory_mb, threads=threads, answer=answer)
    assert found.peak_mb <= memory_mb
    assert 1 <= found.rows_used <= rows
    assert 1 <= found.at_once <= threads
    json.dumps(found.to_json())
    assert len(found.describe()) == 3


def test_texts_cost_what_is_stored() -> None:
    schema = Schema((Field("body", "text"), Field("y", "number", role="label")))
    short = Costs.of(Size(1000, True, 50_000), schema, Number())
    long = Costs.of(Size(1000, True, 5_000_000), schema, Number())
    assert long.table_mb(1000) > 20 * short.table_mb(1000)


def test_without_a_clock_the_time_grows_with_the_rows() -> None:
    assert plan(1_000_000, budget_s=None).eta_s > 5 * plan(50_000, budget_s=None).eta_s


def test_families_that_refuse_so_many_classes_need_no_memory() -> None:
    """They are skipped in the race, so that the estimate must not count them."""
    many = Class(tuple(f"c{number}" for number in range(2_000)))
    found = plan(10_000, families=(Light, LightGBM), answer=many, memory_mb=32_000)
    assert [need.name for need in found.families] == ["light"]
    assert found.peak_mb < 3_000


def test_long_fits_without_a_clock_are_warned_of() -> None:
    many = Class(tuple(f"c{number}" for number in range(10_000)))
    told = plan(20_000, answer=many, budget_s=None, memory_mb=64_000).warnings
    assert any("10,000 classes takes long" in line and "--budget" in line for line in told)
    assert not any("takes long" in line for line in plan(20_000, answer=many).warnings)
    assert plan(1_000, budget_s=None).warnings == ()
