"""Rows become events with the digits of a replayed file, and versions agree on what they tell."""

from __future__ import annotations

import pytest

from promise.errors import DataError
from promise.features.event import Event
from promise.features.incoming import merged


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Event("t1", 7, {"entity": "bob"}), "the role 'entity' from different fields"),
        (Event("t1", 7, {}, 6.0), "the amount from different fields"),
    ],
)
def test_versions_that_tell_different_things_are_refused(other: Event, words: str) -> None:
    """One event is exchanged for all of them, so it cannot hold two values of one role."""
    first = Event("t1", 7, {"entity": "ann"}, 5.0)
    assert merged([first, Event("t1", 7, {"entity": "ann"}, 5.0)]) == first
    with pytest.raises(DataError, match=words):
        merged([first, other])
