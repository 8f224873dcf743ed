"""One pass over a source against plain counting of the whole table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pytest

from promise.clock import ManualClock
from promise.data.rows import BadRows, Size
from promise.data.schema import Field, Schema
from promise.errors import DataError
from promise.kernels.rows import row_hash
from promise.profiling.profile import Profile, profile_source


class Batched:
    """A table that comes in batches of a given size."""

    name = "a table"
    reader = None
    decimal = None

    def __init__(self, tables: Sequence[pa.Table], batch_rows: int | None = None) -> None:
        self.tables, self.batch_rows, self.bad_rows = tables, batch_rows, BadRows()
        self.columns = tuple(tables[0].column_names)

    def cautions(self) -> tuple[str, ...]:
        return ()

    def size(self) -> Size:
        return Size(sum(t.num_rows for t in self.tables), True, 0)

    def batches(
        self, columns: Sequence[str] | None = None, chunk_rows: int = 65536
    ) -> Iterator[tuple[int, pa.Table]]:
        first = 0
        for table in self.tables:
            step = self.batch_rows or max(1, table.num_rows)
            for at in range(0, table.num_rows, step):
                batch = table.slice(at, step).select(list(columns or self.columns))
                yield first, batch
                first += batch.num_rows

    def sample(self, rows: int) -> pa.Table:
        return self.tables[0].slice(0, rows)

    def fingerprint(self) -> str:
        return "fixed"


def made(n: int = 9000) -> tuple[pa.Table, Schema]:
    rng = np.random.default_rng(7)
    amount = rng.normal(10, 3, n)
    table = pa.table(
        {
            "amount": pa.array(amount, mask=rng.random(n) < 0.1),
            "kind": pa.array(rng.choice(["a", "b", "?", ""], n)),
            "code": pa.array([f"k{v:07d}" for v in rng.permutation(n)]),
            "count": rng.poisson(2, n).astype(str),
            "when": np.datetime64("2026-01-01", "us") + rng.integers(0, 300, n) * 86_400_000_000,
            "flag": rng.random(n) < 0.3,
            "label": amount * 2 + rng.normal(0, 1, n),
        }
    )
    schema = Schema(
        (
            Field("amount", "number"),
            Field("kind", "category", nulls=("?",)),
            Field("code", "category"),
            Field("count", "number", nulls=("7",)),
            Field("when", "date"),
            Field("flag", "boolean"),
            Field("label", "number", role="label"),
        )
    )
    return table, schema


def test_counts_are_those_of_plain_python() -> None:
    table, schema = made()
    found = profile_source(Batched([table], 1000), schema, target="label")
    rows = table.to_pydict()
    amounts = np.array([v for v in rows["amount"] if v is not None])
    amount = found["amount"]
    assert (amount.missing, amount.distinct) == (table["amount"].null_count, len(amounts))
    assert amount.mean == pytest.approx(amounts.mean())
    assert amount.std == pytest.approx(amounts.std(ddof=1))
    assert (amount.min, amount.max) == (amounts.min(), amounts.max())
    kinds = Counter(rows["kind"])
    assert found["kind"].missing == kinds["?"] + kinds[""]
    assert found["kind"].null_tokens == (("?", kinds["?"]),)
    assert dict(found["kind"].top) == {"a": kinds["a"], "b": kinds["b"]}
    counts = Counter(float(v) for v in rows["count"] if v != "7")
    assert dict(found["count"].top) == dict(counts.most_common(10))
    assert found["count"].quantiles[3] == ("p50", 2.0)
    assert found["when"].min == str(min(rows["when"]).date())
    assert found["flag"].mean == pytest.approx(np.mean(rows["flag"]))
    assert found["code"].guesses == ("identifier",)
    assert found["code"].top == ()
    assert found.duplicates == 0
    assert found.n_rows == found.duplicates_checked == 9000


def test_correlations_name_their_measure() -> None:
    table, schema = made()
    by_number = profile_source(Batched([table]), schema, target="label")
    assert by_number["amount"].correlation_kind == "pearson"
    assert by_number["amount"].correlation == pytest.approx(0.986, abs=0.01)
    assert by_number["kind"].correlation_kind == "eta"
    by_class = profile_source(Batched([table]), schema, target="flag")
    assert by_class["kind"].correlation_kind == "cramers_v"
    assert by_class["kind"].correlation == pytest.approx(0, abs=0.05)
    assert by_class["flag"].correlation is None


@pytest.mark.parametrize(("batch_rows", "threads"), [(700, 1), (9000, 3), (4096, 2)])
def test_batches_and_threads_change_nothing(batch_rows: int, threads: int) -> None:
    table, schema = made()
    clock = ManualClock()

    def profiled(source: Batched, threads: int) -> Profile:
        return profile_source(
            source, schema, target="label", sample_rows=500, threads=threads, clock=clock
        )

    one, other = profiled(Batched([table]), 1), profiled(Batched([table], batch_rows), threads)
    assert other.sample_rows.tolist() == one.sample_rows.tolist()
    for a, b in zip(one.columns, other.columns, strict=True):
        assert a.to_json() | {"mean": 0, "std": 0} == b.to_json() | {"mean": 0, "std": 0}
        assert a.mean == (None if b.mean is None else pytest.approx(b.mean, rel=1e-12))


def test_the_sample_is_the_rows_of_smallest_hash() -> None:
    table, schema = made()
    found = profile_source(Batched([table], 1000), schema, sample_rows=600, seed=3)
    wanted = np.sort(np.argsort(row_hash(np.arange(9000), 3))[:600])
    assert found.sample_rows.tolist() == wanted.tolist()
    assert found.sample["label"].tolist() == table["label"].to_numpy()[wanted].tolist()


def test_repeated_rows_are_counted_beside_a_key() -> None:
    table, schema = made(2000)
    twice = pa.concat_tables([table, table.slice(0, 500)])
    numbered = twice.append_column("row_id", pa.array(np.arange(2500)))
    schema = Schema((*schema, Field("row_id", "number")))
    found = profile_source(Batched([numbered], 800), schema)
    assert found.duplicates == pytest.approx(0.2)
    assert found["row_id"].guesses == ("row number", "identifier")


def test_batches_may_differ_in_type() -> None:
    # JSON Lines are typed chunk by chunk
    tables = [
        pa.table({"a": [1, 2], "b": ["x", "y"]}),
        pa.table({"a": [1.5, None], "b": pa.nulls(2)}),
        pa.table({"a": ["7", "high"], "b": [3, 4]}),
    ]
    schema = Schema((Field("a", "number"), Field("b", "category")))
    found = profile_source(Batched(tables), schema)
    assert (found["a"].missing, found["a"].unparsed, found["a"].max) == (2, 1, 7.0)
    assert (found["b"].missing, found["b"].distinct) == (2, 4)
    assert found.sample["a"].tolist()[:3] == [1.0, 2.0, 1.5]


def test_unreadable_values_are_told_from_missing_ones() -> None:
    table = pa.table({"a": ["1", "x", "", None, "NA", " 2 "]})
    found = profile_source(Batched([table]), Schema((Field("a", "number", nulls=("NA",)),)))
    assert (found["a"].missing, found["a"].unparsed) == (4, 1)
    assert found["a"].null_tokens == (("NA", 1),)


def test_a_source_without_rows_or_with_empty_columns_is_profiled() -> None:
    schema = Schema((Field("a", "number"), Field("b", "category"), Field("c", "date")))
    table = pa.table({"a": pa.nulls(30), "b": pa.nulls(30), "c": pa.nulls(30)})
    found = profile_source(Batched([table]), schema)
    assert all(column.guesses == ("all missing",) for column in found.columns)
    assert found["a"].to_json()["mean"] is None
    empty = profile_source(Batched([table.slice(0, 0)]), schema)
    assert empty.n_rows == 0


@pytest.mark.slow
def test_many_columns_keep_a_smaller_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    n = 600
    rng = np.random.default_rng(1)
    table = pa.table({f"c{i}": rng.normal(size=600) for i in range(n)})
    schema = Schema(tuple(Field(f"c{i}", "number") for i in range(n)))
    monkeypatch.setattr("promise.profiling.profile._SAMPLE_CELLS", 500 * n)
    found = profile_source(Batched([table]), schema)
    assert found.n_columns == len(found.columns) == n
    assert len(found.sample_rows) == 500


def test_an_unknown_target_is_named_with_its_neighbours() -> None:
    table, schema = made(50)
    with pytest.raises(DataError, match="did you mean 'label'"):
        profile_source(Batched([table]), schema, target="labell")


def test_progress_and_time_are_told() -> None:
    table, schema = made(1000)
    clock, told = ManualClock(), []

    def progress(rows: int) -> None:
        told.append(rows)
        clock.advance(2)

    found = profile_source(Batched([table], 400), schema, clock=clock, progress=progress)
    assert told == [400, 800, 1000]
    assert found.seconds == 6.0
