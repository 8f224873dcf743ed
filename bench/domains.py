"""Names: right answers beside peers on three splits, unknown names, updates, scale, speed.

    python -m bench domains --only quality --rows 100000

Promise trains by its command line, each peer in a process of its own, all on the same names and
judged on the same sealed ones. Sections: quality, apps, unknown, update, scale, speed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import domains_data, domains_quality, domains_speed
from bench.domains_systems import ALL_SYSTEMS, train
from bench.watched import two_cores

Record = dict[str, Any]


@dataclass(frozen=True)
class Terms:
    """What was asked for."""

    rows: int | None
    systems: tuple[str, ...]
    seconds: float
    rate: float
    folder: Path


def quality(terms: Terms) -> list[Record]:
    """Compare on UT1's categories."""
    return compared("UT1", domains_data.ut1(terms.rows), terms)


def apps(terms: Terms) -> list[Record]:
    """Compare on v2fly's apps."""
    return compared("v2fly", domains_data.v2fly(), terms)


def compared(what: str, data: domains_data.Labelled, terms: Terms) -> list[Record]:
    """Print one table of three splits."""
    print(f"{what}: {len(data.names):,} names, {len(data.classes)} classes\n")
    print(domains_quality.HEADER, flush=True)
    records = domains_quality.splits(what, data, terms.systems, terms.folder)
    print(domains_quality.row_of(records[0]))
    print("\n" + "\n".join(domains_quality.against_best(records)))
    return records


def unknown(terms: Terms) -> list[Record]:
    """Print what is rejected of names from another source."""
    print(domains_quality.FRONTIER_HEADER, flush=True)
    return domains_quality.unknown(domains_data.v2fly(), terms.folder)


def update(terms: Terms) -> list[Record]:
    """Print an update beside a refit."""
    print(domains_quality.UPDATE_HEADER, flush=True)
    return domains_quality.update(domains_data.ut1(terms.rows), terms.folder)


def scale(terms: Terms) -> list[Record]:
    """Print time and memory by number of names; the first size twice, whose digests are equal."""
    print(domains_speed.SCALE_HEADER, flush=True)
    sizes = (terms.rows,) * 2 if terms.rows else (100_000, 100_000, None)
    records = domains_speed.scale(sizes, terms.folder)
    same = records[0]["digest"] == records[1]["digest"]
    print(f"\nthe same rows twice: {'equal' if same else 'DIFFERENT'} weights")
    return records


def speed(terms: Terms) -> list[Record]:
    """Print how fast answers are."""
    trained = train(terms.folder, domains_data.ut1(terms.rows), "categories")
    return [
        domains_speed.latency(trained),
        domains_speed.http(trained, terms.folder, rate=terms.rate, seconds=terms.seconds),
    ]


SECTIONS: dict[str, Callable[[Terms], list[Record]]] = {
    "quality": quality,
    "apps": apps,
    "unknown": unknown,
    "update": update,
    "scale": scale,
    "speed": speed,
}


def main(arguments: list[str]) -> None:
    """Run the sections that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench domains", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--only", default=",".join(SECTIONS), help="comma-separated sections")
    parser.add_argument("--rows", type=int, default=None, help="so many names, drawn by hash")
    parser.add_argument("--systems", default=",".join(ALL_SYSTEMS), help="comma-separated")
    parser.add_argument("--seconds", type=float, default=15.0, help="of load over HTTP")
    parser.add_argument("--rate", type=float, default=2000.0, help="requests per second")
    parser.add_argument("--out", type=Path, default=None, help="JSON lines are appended to it")
    chosen = parser.parse_args(arguments)
    sections = chosen.only.split(",")
    strange = [name for name in sections if name not in SECTIONS]
    strange += [name for name in chosen.systems.split(",") if name not in ALL_SYSTEMS]
    if strange:
        raise SystemExit(
            f"there is no {strange[0]!r}; sections: {', '.join(SECTIONS)}; systems: "
            + ", ".join(ALL_SYSTEMS)
        )
    two_cores()
    for name in sections:
        print(f"\n### {name}\n", flush=True)
        with tempfile.TemporaryDirectory(prefix="promise-domains-") as folder:
            systems = tuple(chosen.systems.split(","))
            terms = Terms(chosen.rows, systems, chosen.seconds, chosen.rate, Path(folder))
            records = SECTIONS[name](terms)
        if chosen.out is not None:
            lines = [json.dumps({"section": name, **record}) for record in records]
            with chosen.out.open("a", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")
