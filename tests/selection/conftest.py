"""An engine without processes, and small tables with known answers, for tests of the race."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from promise.data.answer import Class, Number
from promise.data.columns import Columns
from promise.data.schema import Field, Schema
from promise.errors import FitFailed
from promise.models.base import Examples


@dataclass(eq=False)
class InlineHandle:
    """Work that has been done already."""

    name: str
    value: Any = None
    failure: FitFailed | None = None
    done: bool = True
    seconds: float = 0.0
    peak_mb: float = 1.0

    def result(self) -> Any:
        if self.failure is not None:
            raise self.failure
        return self.value


@dataclass
class InlineEngine:
    """Does the work at once; hands results back newest first, as unequal processes might."""

    threads: int = 1
    fail: Callable[[str], FitFailed | None] = lambda name: None
    names: list[str] = field(default_factory=list)
    peak_mb: float = 1.0

    def submit(self, fn: Callable[..., Any], *args: Any, name: str, **_: Any) -> InlineHandle:
        self.names.append(name)
        failure = self.fail(name)
        if failure is not None:
            return InlineHandle(name, failure=failure)
        try:
            return InlineHandle(name, value=fn(*args))
        except Exception as error:
            return InlineHandle(name, failure=FitFailed(str(error), "error"))

    def wait(
        self, handles: Sequence[Any], timeout_s: float | None = None
    ) -> tuple[list[Any], list[Any]]:
        return [handles[-1]], list(handles[:-1])

    def cancel(self, handles: Iterable[Any]) -> None:
        pass

    def isolate(self, fn: Callable[..., Any], *args: Any, name: str = "work", **_: Any) -> Any:
        return self.submit(fn, *args, name=name).result()

    def map_batches(
        self, fn: Callable[[Any], Any], items: Iterable[Any], *, workers: int
    ) -> Iterator[Any]:
        return map(fn, items)

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def inline_engine() -> type[InlineEngine]:
    """The engine's type, to be made with the threads and failures that a test wants."""
    return InlineEngine


def table(n: int, *, classes: bool, seed: int = 3) -> tuple[Schema, Examples]:
    """Two informative numbers, a category that shifts the answer, and noise."""
    rng = np.random.default_rng(seed)
    a, b, noise = rng.normal(size=(3, n))
    city = rng.choice(np.array(["north", "south", "west"], dtype=object), n)
    signal = 2 * a - b + 1.5 * (city == "north") + 0.5 * noise
    columns = Columns({"a": a, "b": b, "city": city, "idle": rng.normal(size=n)})
    fields = (
        Field("a", "number"),
        Field("b", "number"),
        Field("city", "category"),
        Field("idle", "number"),
    )
    answer = Class(("no", "yes")) if classes else Number()
    y = (signal > 0).astype(np.int64) if classes else signal
    return Schema(fields), Examples(columns, y, answer, rows=np.arange(n, dtype=np.int64))


@pytest.fixture(scope="session")
def class_table() -> tuple[Schema, Examples]:
    return table(240, classes=True)


@pytest.fixture(scope="session")
def number_table() -> tuple[Schema, Examples]:
    return table(240, classes=False)
