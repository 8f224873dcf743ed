"""Requests answered the way serving takes, in one process: to warm a version, or to load it."""

from __future__ import annotations

from typing import Any

from promise.features.incoming import EventReader
from promise.features.keyed import Keyed
from promise.features.model_views import ModelViews
from promise.features.rings import Rings
from promise.features.stores.memory import MemoryStore
from promise.pipeline.bind import Bound
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.wire import RequestCodec

_NUMBER = 1
_ANEW = 1000
"""After so many events state begins anew, so that rows sent in a circle do not fill it."""


class Rehearsal:
    """Decodes and answers bodies; events of keyed pipelines are exchanged with a store in memory.

    Parameters
    ----------
    bound
        Of the same pipeline, for the calling thread.
    """

    def __init__(self, pipeline: Pipeline, bound: Bound) -> None:
        schema = pipeline.task.request
        self._codec, self._bound = RequestCodec(schema), bound
        self._reader: EventReader | None = None
        self._views = ModelViews("rehearsal", {})
        if isinstance(pipeline.featurize, Keyed):
            self._reader = EventReader(pipeline.featurize, schema)
            self._views = ModelViews("rehearsal", {_NUMBER: pipeline.featurize})
        self._store, self._rings = MemoryStore(), Rings()
        self._n = 0

    def answer(self, body: bytes) -> list[dict[str, Any]]:
        """Return the answers to one body."""
        rows, batch = self._codec.decode(body)
        if self._reader is not None:
            return [self._after_exchange(row) for row in rows]
        return self._bound.many(rows) if batch else [self._bound.one(rows[0])]

    def _after_exchange(self, row: tuple[Any, ...]) -> dict[str, Any]:
        assert self._reader is not None, "asked for keyed pipelines only"
        if self._n % _ANEW == 0:
            self._store, self._rings = MemoryStore(), Rings()
        self._n += 1
        event = self._reader.event(row, id=f"{self._n}", now_us=0)
        keys = self._views.keys(event)
        held = self._store.exchange(event.id, event.at, keys, event.packed())
        found = dict(zip(keys, held, strict=True))
        return self._bound.one(row, self._views.vector(_NUMBER, event, found, self._rings))
