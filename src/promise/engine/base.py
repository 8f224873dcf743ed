"""What an engine does for the rooms above: run functions elsewhere, within bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Handle(Protocol[T_co]):
    """One piece of work that runs, or waits to run, in a process of its own."""

    @property
    def name(self) -> str:
        """What messages call this work."""
        ...

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        ...

    @property
    def seconds(self) -> float:
        """How long it has run; 0 before it starts."""
        ...

    @property
    def peak_mb(self) -> float:
        """The most memory it was seen to hold, in MiB of PSS."""
        ...

    def result(self) -> T_co:
        """Wait for the end and return the value.

        Raises
        ------
        FitFailed
            With the reason `memory`, `deadline`, `disk`, `crash` or `error`; its cause is the error
            that the work raised where that is one a user can act on.
        """
        ...


class Engine(Protocol):
    """Runs importable functions in processes of their own, under a deadline and a memory bound.

    Functions and their arguments are pickled between our own processes; a function must be found
    under its module's name, so neither a lambda nor one typed into a script's main module.
    """

    @property
    def threads(self) -> int:
        """How many single-threaded pieces of work run at once."""
        ...

    @property
    def peak_mb(self) -> float:
        """The most memory that all processes together were seen to hold, in MiB of PSS."""
        ...

    def submit(
        self,
        fn: Callable[..., T],
        *args: Any,
        name: str,
        deadline_s: float | None = None,
        memory_mb: float | None = None,
        threads: int = 1,
    ) -> Handle[T]:
        """Queue a piece of work; it starts as soon as its threads are free.

        Parameters
        ----------
        deadline_s
            On the monotonic clock; work that overruns it by more than a grace is killed.
        memory_mb
            Bound on this work's own memory.
        threads
            How many threads it may use; it waits until as many are free.
        """
        ...

    def wait(
        self, handles: Sequence[Handle[T]], timeout_s: float | None = None
    ) -> tuple[list[Handle[T]], list[Handle[T]]]:
        """Wait until at least one has ended, or the time is up: (ended, not ended)."""
        ...

    def cancel(self, handles: Iterable[Handle[Any]]) -> None:
        """Stop these pieces of work; their results raise `FitFailed`."""
        ...

    def isolate(
        self,
        fn: Callable[..., T],
        *args: Any,
        name: str | None = None,
        deadline_s: float | None = None,
        memory_mb: float | None = None,
        threads: int = 1,
    ) -> T:
        """Run one function in its own process and return its value."""
        ...

    def map_batches(
        self, fn: Callable[[Any], T], items: Iterable[Any], *, workers: int
    ) -> Iterator[T]:
        """Yield `fn(item)` in the order of the items, reading only a few items ahead."""
        ...

    def close(self) -> None:
        """Stop everything that runs and free what was held."""
        ...
