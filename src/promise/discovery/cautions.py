"""What a discovery says before it begins: sizes and times as people read them, and cautions."""

from __future__ import annotations

from collections.abc import Mapping

_LONG_FIT_S = 300.0
_MANY_CLASSES = 100


def of_memory(
    asked: int, rows: int, at_once: int, threads: int, left_out: list[str], bound: float
) -> tuple[str, ...]:
    """Return what the user should see beside the result."""
    lines = []
    if rows < asked:
        lines.append(
            f"Only {rows:,} of the {asked:,} rows asked for fit into {size_told(bound)} of memory; "
            "use --memory to allow more."
        )
    if left_out:
        names = ", ".join(left_out)
        lines.append(
            f"Too large for {size_told(bound)} of memory: {names}; use --memory or --sample."
        )
    if at_once < threads:
        lines.append(f"Memory allows {at_once} of {threads} fits at once.")
    return tuple(lines)


def of_time(fit_s: Mapping[str, float], classes: int, budget_s: float | None) -> tuple[str, ...]:
    """Warn of fits that take long where no clock ends them.

    Examples
    --------
    >>> of_time({"linear": 900.0, "baseline": 1.0}, 10_000, None)[0][:60]
    'One fit of 10,000 classes takes long on one thread (linear a'
    >>> of_time({"linear": 900.0}, 10_000, 60.0)
    ()
    """
    slow = {name: seconds for name, seconds in fit_s.items() if seconds >= _LONG_FIT_S}
    if budget_s is not None or not slow:
        return ()
    told = ", ".join(f"{name} about {span_told(seconds)}" for name, seconds in slow.items())
    why = f" of {classes:,} classes" if classes > _MANY_CLASSES else ""
    return (
        f"One fit{why} takes long on one thread ({told}), and without a clock none is cut short; "
        "use --budget in place of --trials, fewer rows (--sample) or --families.",
    )


def size_told(mb: float) -> str:
    """Write MiB the way people read it.

    Examples
    --------
    >>> size_told(3.2), size_told(512), size_told(4096)
    ('3.2 MB', '512 MB', '4.0 GB')
    """
    if mb >= 1000:
        return f"{mb / 1024:,.1f} GB"
    return f"{mb:.0f} MB" if mb >= 10 else f"{mb:.1f} MB"


def span_told(seconds: float) -> str:
    """Write seconds the way people read them.

    Examples
    --------
    >>> span_told(0.2), span_told(42), span_told(600), span_told(9000)
    ('under 1 s', '42 s', '10 min', '2.5 h')
    """
    if seconds < 1:
        return "under 1 s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
