"""Everybody and everything they did until now, over an immutable snapshot; for one thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import numpy as np

from promise.data.columns import Array, IntArray
from promise.errors import DataError
from promise.features.pairs import Side
from promise.features.people_activity import Activity
from promise.features.people_ids import NOBODY, id_text
from promise.features.people_profile import Profile, known_profile, row_of
from promise.pipeline.finding import FORGET, PROFILE, Told
from promise.workloads.matching.counted import Counted, Met
from promise.workloads.matching.identity import event_numbers, holds, id_numbers
from promise.workloads.matching.kinds import BLOCK, IMPRESSION, KINDS, weights_of
from promise.workloads.matching.register import Register
from promise.workloads.matching.snapshot import Basis
from promise.workloads.matching.ties import Ties
from promise.workloads.matching.vectors import Vectors

_KIND = {name: code for code, name in enumerate(KINDS)}
_WEIGHTS = weights_of(np.arange(len(KINDS))).tolist()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class World:
    """What is known now: profiles, decisions, blocks, activity, vectors.

    Parameters
    ----------
    basis
        Loaded with mode `"c"` where events are to be taken.
    """

    def __init__(self, basis: Basis) -> None:
        snapshot = basis.snapshot
        self.basis, self.snapshot = basis, snapshot
        self.number = snapshot.number
        self.register = Register(snapshot)
        room = len(self.register.flags)
        self.ties = Ties(snapshot, self.register)
        self.vectors = Vectors(basis, self.register, self.ties)
        self.counted = Counted(snapshot.activity, room - snapshot.n)
        self.stamps = np.zeros(room, np.int32)
        self._stamp = 0
        self._blocked: dict[int, set[int]] = {}

    def take(self, events: Sequence[Told]) -> None:
        """Take events in the log's order: known and strange ones change nothing, none fails."""
        met: list[Met] = []
        self.register.look_up([id for event in events for id in (event.entity, event.other)])
        known = self._told_by_files(events)
        for event in events:
            if event.number <= self.number:
                continue
            self.number = event.number
            if event.number in known:
                continue
            if event.type in _KIND and event.other and event.other != event.entity:
                met.append(self._encounter(event))
            elif event.type in (PROFILE, FORGET):
                self.counted.count(met)
                met = []
                self._about_one(event)
        self.counted.count(met)

    def _told_by_files(self, events: Sequence[Told]) -> set[int]:
        """Return the numbers of events that the version has learned from its files already."""
        if not len(self.snapshot.files):
            return set()
        until_us = self.snapshot.until_us
        old = [e for e in events if e.type in _KIND and microseconds(e.at) < until_us]
        if not old:
            return set()
        found = event_numbers(
            id_numbers(event.entity for event in old),
            id_numbers(event.other for event in old),
            np.array([_KIND[event.type] for event in old], np.int64),
            np.array([microseconds(event.at) for event in old], np.int64),
        )
        known = holds(self.snapshot.files, found)
        return {event.number for event, twice in zip(old, known, strict=True) if twice}

    def give(self, shown: Mapping[str, int], at_us: int) -> None:
        """Count in how many lists of a day people stood; strangers are passed over."""
        for id, n in shown.items():
            code = self.register.code(id)
            if code != NOBODY:
                self.counted.give(code, at_us, n)

    def _about_one(self, event: Told) -> None:
        if event.type == FORGET:
            code = self.register.forget(event.entity)
            if code != NOBODY:
                self._forget(code)
            return
        # whoever sent it was told what cannot be read; a log that is followed cannot be argued with
        profile, unread = known_profile(event.payload, self.register.lexicon.extras)
        if unread and len(unread) == len(event.payload):
            return  # it tells nothing that is known here
        with suppress(DataError):  # an id that names nobody, a gender too many
            self.register.put(id_text(event.entity), profile)
        self._room()

    def _encounter(self, event: Told) -> Met:
        a, b = self.register.code_or_new(event.entity), self.register.code_or_new(event.other)
        self._room()
        self.register.show(a)
        kind, at_us = _KIND[event.type], microseconds(event.at)
        if kind == IMPRESSION:
            self.counted.show(b, at_us)
        elif kind == BLOCK:
            self._blocked.setdefault(a, set()).add(b)
            self._blocked.setdefault(b, set()).add(a)
        elif self.ties.decide(a, b, at_us, _WEIGHTS[kind]):
            self.vectors.touch(a, b)
        return a, b, kind, at_us

    def _forget(self, code: int) -> None:
        self.vectors.forget(code, self.ties.forget(code))
        self.counted.forget(code)
        for other in self._blocked.pop(code, ()):
            self._blocked.get(other, set()).discard(code)

    def _room(self) -> None:
        """Grow what is kept by code along with the register."""
        n = len(self.register.flags)
        if n > len(self.stamps):
            self.stamps = np.concatenate([self.stamps, np.zeros(n - len(self.stamps), np.int32)])
            self.counted.room(n)

    def excluded(self, code: int, at_us: int, further: Sequence[str] = ()) -> IntArray:
        """Return whom a person is not to meet, and whoever was shown often enough on the day."""
        named = [self.register.code(id) for id in further]
        also = np.array([c for c in named if c >= 0], np.int64)
        return np.unique(np.concatenate([self.closed(code), self.counted.spent(at_us), also]))

    def closed(self, code: int) -> IntArray:
        """Return whom a person is never to meet: decided on, blocked either way, themselves."""
        if code == NOBODY:
            return np.empty(0, np.int64)
        parts: list[Array] = [self.ties.decided_on(code), self.blocked(code), np.array([code])]
        return np.concatenate(parts).astype(np.int64)

    def blocked(self, code: int) -> IntArray:
        """Return whom a person blocks, or who blocks them."""
        since = self._blocked.get(code, set())
        parts: list[Array] = [np.fromiter(since, np.int64, len(since))]
        if code < self.snapshot.n:
            parts.append(self.snapshot.blocked.row(code)[0])
        return np.concatenate(parts).astype(np.int64)

    def stamped(self, codes: IntArray) -> int:
        """Mark people with a number that nobody else bears, and return it."""
        self._stamp += 1
        self.stamps[codes] = self._stamp
        return self._stamp

    def neighbours(self, code: int, codes: IntArray) -> IntArray:
        """Return how many people both know: likes in either direction, until now."""
        mark = self.stamped(self.ties.of(code)) if code != NOBODY else 0
        return self.ties.known_to_both(code, codes, self.stamps, mark)

    def seeks(self, codes: IntArray) -> tuple[Array, Array]:
        """Return the genders of people and whom they seek."""
        return self.register.take("gender", codes), self.register.take("seeks", codes)

    def sides(self, codes: IntArray, at_us: int) -> Side:
        """Return people as pair features read them."""
        take = self.register.take
        chooser, chosen = self.vectors.take(codes)
        norm, sparsity = self.vectors.norms(codes, chosen)
        return Side(
            age=take("age", codes), place=take("place", codes), position=take("position", codes),
            interests=take("interests", codes), joined_us=take("joined_us", codes),
            completeness=take("completeness", codes), extras=take("extras", codes),
            facts=self.counted.facts(codes, at_us), norm=norm, sparsity=sparsity,
            chooser=chooser, chosen=chosen,
        )  # fmt: skip

    def stranger(self, profile: Profile) -> tuple[Side, int, int]:
        """Return somebody who is not known by what they tell now: side, gender, whom they seek."""
        lexicon, none = self.register.lexicon, np.zeros((1, self.vectors.size), np.float32)
        row, zero = row_of(lexicon.known(profile), lexicon), np.zeros(1, np.int64)
        side = Side(
            age=np.array([row["age"]], np.float32),
            place=np.array([row["place"]], np.int32),
            position=np.array([row["position"]], np.float32),
            interests=row["interests"][None],
            joined_us=np.array([row["joined_us"]], np.int64),
            completeness=np.array([row["completeness"]], np.float32),
            extras=np.array([row["extras"]], np.float32),
            facts=Activity.none(1).facts(zero, zero),
            norm=np.zeros(1, np.float32),
            sparsity=np.zeros(1, np.float32),
            chooser=none,
            chosen=none,
        )
        return side, row["gender"], row["seeks"]


def microseconds(at: datetime) -> int:
    """Return microseconds since 1970; a time without a zone is in UTC."""
    moment = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND
