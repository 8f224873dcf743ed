"""In which order a store took records, told by what each of them met: any number of workers."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from promise.features.seen_log import Seen


@dataclass(frozen=True)
class Arrivals:
    """Records in the order in which their entities met them.

    Parameters
    ----------
    order
        Places of the records.
    unknown
        Places to the store keys whose state before the record cannot be told from the records
        alone: something came between that was not logged, or the state came from elsewhere.
    imported
        Store keys whose first record met a state already: backfilled, or logged elsewhere.
    """

    order: tuple[int, ...]
    unknown: Mapping[int, frozenset[str]]
    imported: frozenset[str]

    @classmethod
    def of(cls, records: Sequence[Seen]) -> Arrivals:
        """Put records in order.

        Each key's versions grow by one with every record, so they say which came first, and
        where one is missing. Keys are kept in one transaction, so no two of them disagree.
        """
        chains: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for place, seen in enumerate(records):
            for key, version in seen.before.items():
                chains[key].append((version, seen.at, place))
        follows: dict[int, list[int]] = defaultdict(list)
        waits = [0] * len(records)
        broken: dict[int, set[str]] = defaultdict(set)
        imported = set()
        for key, chain in chains.items():
            chain.sort()
            whole = True
            if chain[0][0]:
                imported.add(key)
            for (version, _, place), before in zip(chain, [None, *chain], strict=False):
                if before is not None:
                    follows[before[2]].append(place)
                    waits[place] += 1
                    whole = whole and (before[0] == 0 or version == before[0] + 1)
                if not whole:
                    broken[place].add(key)
        order = _sorted(records, follows, waits)
        unknown = {place: frozenset(keys) for place, keys in broken.items()}
        return cls(order, unknown, frozenset(imported))


def _sorted(
    records: Sequence[Seen], follows: Mapping[int, list[int]], waits: list[int]
) -> tuple[int, ...]:
    """Return places so that each comes after those it waits for, else by their time."""
    free = [(seen.at, place) for place, seen in enumerate(records) if not waits[place]]
    heapq.heapify(free)
    order = []
    while free:
        _, place = heapq.heappop(free)
        order.append(place)
        for after in follows.get(place, ()):
            waits[after] -= 1
            if not waits[after]:
                heapq.heappush(free, (records[after].at, after))
    if len(order) < len(records):  # states that were imported anew between make a circle
        rest = set(range(len(records))) - set(order)
        order += sorted(rest, key=lambda place: records[place].at)
    return tuple(order)
