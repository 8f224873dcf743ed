"""Who answers for a model in one snapshot, with everything that does not change prepared."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from math import isfinite
from typing import Any

import msgspec

from promise.data.columns import FloatArray
from promise.errors import ArtifactError, DataError
from promise.features.keyed import Keyed
from promise.pipeline.bind import Bound
from promise.registry.lifecycle import Route
from promise.serving.breaker import Breaker
from promise.serving.endpoints import Endpoint
from promise.serving.holdings import Holdings
from promise.serving.intake import Intake, Row
from promise.serving.keyed_desk import KeyedDesk
from promise.serving.router import choose, splits

_LOG = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_SLOW_MS = 5.0


class Post:
    """One version of a model in one role (`arm`), ready to answer.

    Parameters
    ----------
    breaker
        Outlives snapshots: a version that keeps failing stays refused.

    Attributes
    ----------
    keyed
        Whether it answers only with what the event store told of a row.
    """

    __slots__ = (
        "arm", "bound", "breaker", "cache_s", "fingerprint", "head", "headers", "keyed", "line",
        "loaded", "model", "number", "pooled_above", "series",
    )  # fmt: skip

    def __init__(
        self, holdings: Holdings, endpoint: Endpoint, number: int, arm: str, breaker: Breaker
    ) -> None:
        self.model, self.number, self.arm, self.breaker = endpoint.name, number, arm, breaker
        self.loaded = endpoint.versions.get(number)
        self.series = holdings.counters.series(endpoint.name, number, arm, endpoint.targets)
        self.bound: Bound | None = None
        self.cache_s, self.fingerprint, self.pooled_above, self.keyed = 0.0, "", 0, False
        if self.loaded is not None:
            self.bound = self.loaded.bound
            self.cache_s, self.fingerprint = self.loaded.cache_s, self.loaded.fingerprint
            slow = self.loaded.one_ms > _SLOW_MS
            self.pooled_above = 0 if slow else POOLED_ABOVE
            self.keyed = isinstance(self.loaded.pipeline.featurize, Keyed)
        about = f'"model":"{endpoint.name}","version":{number},'.encode()
        self.head = b"{" + about + b'"predictions":['
        self.line = about + f'"arm":"{arm}","at":'.encode()
        self.headers = [
            (b"content-type", b"application/json"),
            (b"x-promise-version", str(number).encode()),
            (b"x-promise-arm", arm.encode()),
        ]

    @property
    def usable(self) -> bool:
        """Whether it is loaded and does not keep failing."""
        return self.bound is not None and (self.breaker.closed or self.breaker.allows())

    def one(self, row: Row, seen: FloatArray | None = None) -> bytes | None:
        """Answer one row on the loop's thread as JSON; None where it cannot, which is counted.

        Parameters
        ----------
        seen
            Keyed features of this row (n_features,), where it reads any.

        Raises
        ------
        DataError
            The row itself cannot be read.
        """
        if self.bound is None or not (self.breaker.closed or self.breaker.allows()):
            return None
        try:
            encoded = encoded_answer(self.bound.one(row, seen))
        except DataError:
            self.breaker.ok()
            raise
        except Exception as error:
            self.broke(error)
            return None
        self.breaker.ok()
        return encoded

    def many(self, rows: Sequence[Row], seen: FloatArray | None = None) -> list[bytes]:
        """Answer a small batch on the loop's thread as JSON.

        Raises
        ------
        DataError
            A row cannot be read; it is named.
        """
        assert self.bound is not None, "asked only where it is usable"
        try:
            return encoded_answers(self.bound.many(list(rows), seen))
        except DataError as error:
            raise named_row(self.bound, rows, error, seen=seen) from error

    def unfit(self, holdings: Holdings) -> None:
        """Count a request that this version's schema does not fit: neither error nor evidence."""
        holdings.counters.count("unfit", f"{self.model}@{self.number}")

    def broke(self, error: BaseException) -> None:
        """Count a failure of the model for its breaker, and state it without row contents."""
        was_closed = self.breaker.closed
        self.breaker.failed()
        if was_closed:
            _LOG.warning(
                "%s@%d failed to answer: %s", self.model, self.number, type(error).__name__
            )
        if was_closed and not self.breaker.closed:
            _LOG.error("%s@%d keeps failing; others answer for it", self.model, self.number)


def encoded_answer(answer: dict[str, Any]) -> bytes:
    """Return an answer as JSON; one that is no finite number counts as a failure of the model."""
    value = answer["prediction"]
    if value.__class__ is float and not isfinite(value):
        raise ArtifactError("the model answered a number that is not finite.")
    return _encode(answer)


def encoded_answers(answers: Iterable[dict[str, Any]]) -> list[bytes]:
    """Return several answers as JSON."""
    return [encoded_answer(answer) for answer in answers]


def named_row(
    bound: Bound,
    rows: Sequence[Row],
    refusal: DataError,
    first: int = 0,
    *,
    seen: FloatArray | None = None,
) -> DataError:
    """Return a model's refusal with the row of the batch that it is about.

    Parameters
    ----------
    first
        Number of the first of these rows in its batch.
    seen
        Keyed features of these rows.
    """
    for number, row in enumerate(rows if len(rows) > 1 or first else (), start=first):
        try:
            bound.one(row, None if seen is None else seen[number - first])
        except DataError as error:
            return DataError(f"row {number}: {error}")
        except Exception:  # another failure, which the batch did not come to
            break
    return refusal


class Desk:
    """A model in one snapshot: its live post, and who else may answer.

    Parameters
    ----------
    plain
        Whether one row is answered by the live version at once, with nothing in between: nobody
        shares its traffic, watches it or reads other fields, and no answers are kept.
    keyed
        How rows become events of the store; None where no version reads keyed features.
    """

    __slots__ = (
        "_breakers", "_holdings", "_posts", "endpoint", "intake", "keyed", "live", "plain", "route",
        "shadow", "splits",
    )  # fmt: skip

    def __init__(
        self, holdings: Holdings, endpoint: Endpoint, breakers: dict[tuple[str, int], Breaker]
    ) -> None:
        self.endpoint, self._holdings, self._breakers = endpoint, holdings, breakers
        self.route: Route = endpoint.route
        self._posts: dict[tuple[int, str], Post] = {}
        self.intake: Intake | None = endpoint.intake
        self.splits = splits(self.route)
        self.keyed = KeyedDesk.of(endpoint)
        live = self.route.live
        self.live: Post | None = None if live is None else self.post(live, "live")
        self.shadow: Post | None = None
        if self.route.stage == "shadow" and self.route.candidate is not None:
            self.shadow = self.post(self.route.candidate, "shadow")
        self.plain = self._is_plain()

    def _is_plain(self) -> bool:
        live, intake = self.live, self.intake
        if live is None or intake is None or self.splits or self.shadow is not None:
            return False
        if self.keyed is not None:
            return False
        return bool(live.pooled_above) and not live.cache_s and intake.plain(live.number)

    def post(self, number: int, arm: str) -> Post:
        """Return the one post of a version in a role."""
        found = self._posts.get((number, arm))
        if found is None:
            breaker = self._breakers.get((self.endpoint.name, number))
            if breaker is None:
                breaker = Breaker(self._holdings.clock)
                self._breakers[self.endpoint.name, number] = breaker
            found = Post(self._holdings, self.endpoint, number, arm, breaker)
            self._posts[number, arm] = found
        return found

    def choose(self, entity: str | None, body: bytes) -> Post:
        """Return who answers: by the entity, or by the request itself where none is named."""
        assert self.live is not None, "asked only where something is live"
        if not self.splits:
            return self.live
        named = entity if entity is not None else blake2b(body, digest_size=8).hexdigest()
        return self.post(*choose(self.route, named))

    def backups(self, failed: Post) -> list[Post]:
        """Return who may answer in place of a version: the live one, then the standby."""
        order = dict.fromkeys((self.route.live, self.route.standby))
        found = [self.post(n, "fallback") for n in order if n is not None and n != failed.number]
        return [post for post in found if post.loaded is not None]


POOLED_ABOVE = 200
"""Batches with more rows are answered by a thread, so that the loop stays responsive."""
