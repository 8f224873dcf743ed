"""What every store checks before an exchange, and how it tells what was held before one."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from promise.errors import DataError
from promise.features.store import Held

_LARGEST = 2**62
_LONGEST_BYTES = 1024  # an index entry of Postgres holds no more than 2,700


def held(
    base: int,
    snapshot: bytes | None,
    tail: tuple[bytes, ...],
    *,
    duplicate: bool = False,
    given: int | None = None,
) -> Held:
    """Return what an entity held, before a known event where its version is given.

    Parameters
    ----------
    base
        The version of the snapshot.
    given
        The version that this very event got when it first came, above `base`.

    Examples
    --------
    >>> held(10, b"s", (b"a", b"b", b"c"), duplicate=True, given=12).tail
    (b'a',)
    """
    if given is not None:
        tail = tail[: given - 1 - base]
    if snapshot is None and not tail:
        return Held(None, (), 0, duplicate)
    return Held(snapshot, tail, base + len(tail), duplicate)


def duplicate(row: tuple[int, bytes | None, tuple[bytes, ...]] | None, given: int | None) -> Held:
    """Return what an entity held before an event that has come again.

    Parameters
    ----------
    row
        The entity's base, snapshot and tail as they are now; None where it is forgotten.
    given
        The version that the event gave the entity; None where it never touched it.

    Examples
    --------
    >>> duplicate((10, b"s", (b"a", b"b")), 12).tail
    (b'a',)
    >>> duplicate(None, 12).exact
    False
    """
    if row is None:
        return Held(None, (), 0, True, given is None)
    if given is not None and given <= row[0]:
        return msgspec.structs.replace(held(*row, duplicate=True), exact=False)
    return held(*row, duplicate=True, given=given)


def checked(event_id: str, at: int, keys: Sequence[str]) -> list[str]:
    """Return the distinct keys of an event that every store can keep.

    Raises
    ------
    DataError
        When an id or key is empty or no storable text, or the time no whole number.

    Examples
    --------
    >>> checked("e1", 0, ["card:7", "shop:2", "card:7"])
    ['card:7', 'shop:2']
    """
    _text("event id", event_id)
    if not isinstance(at, int) or isinstance(at, bool) or not -_LARGEST < at < _LARGEST:
        raise DataError(
            f"the time of event {event_id!r} is {at!r}; expected whole microseconds since 1970."
        )
    return checked_keys(keys)


def checked_keys(keys: Sequence[str]) -> list[str]:
    """Return the distinct keys, in order; raise DataError for one that cannot be kept."""
    if isinstance(keys, str):
        raise DataError(f"keys is the text {keys!r}; expected a list of entity keys.")
    for key in keys:
        _text("entity key", key)
    return list(dict.fromkeys(keys))


def _text(what: str, value: str) -> None:
    if not isinstance(value, str) or not value or "\0" in value:
        raise DataError(f"the {what} is {value!r}; expected a text that is not empty, without NUL.")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise DataError(f"the {what} {value!r} is no Unicode text ({error.reason}).") from error
    if size > _LONGEST_BYTES:
        raise DataError(
            f"the {what} {value[:40]!r}… is {size:,} bytes long; expected at most "
            f"{_LONGEST_BYTES:,}: send a digest of it."
        )
