"""Bytes as plain JSON values, or in our own words why they are none."""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from typing import Any

import msgspec

from promise.errors import DataError, PromiseError

NAMED = {str: "text", bool: "a truth value", int: "a whole number", float: "a number with decimals",
         list: "a list", dict: "an object", type(None): "null"}  # fmt: skip
"""What the JSON values of each Python type are called in messages."""
LITERAL = re.compile(rb"[-+]?(?:NaN|nan|Infinity|inf)")
AT_BYTE = re.compile(r"\(byte (\d+)\)")


class MalformedRequest(PromiseError):
    """The body is no JSON object at all."""


def read_json(body: bytes, expected: str = "one JSON object") -> Any:
    """Return the plain values of a JSON text.

    Parameters
    ----------
    expected
        What should have come, in words, where nothing did.

    Raises
    ------
    MalformedRequest
        The bytes are no JSON.
    DataError
        A number is beyond what floats hold.

    Examples
    --------
    >>> read_json(b'{"age": [41, null]}')
    {'age': [41, None]}
    """
    if not body.strip():
        raise MalformedRequest(f"the body is empty, expected {expected}.")
    try:
        return msgspec.json.decode(body)
    except UnicodeDecodeError as error:
        raise MalformedRequest(
            "the body is not valid UTF-8; send JSON encoded as UTF-8."
        ) from error
    except RecursionError as error:
        raise MalformedRequest("the body is nested too deep; fields hold plain values.") from error
    except msgspec.ValidationError as error:  # of untyped JSON only numbers can be refused
        raise DataError(
            f"{_beyond(body)} beyond what 64-bit floats hold; send null for an unknown value."
        ) from error
    except msgspec.DecodeError as error:
        raise MalformedRequest(malformed(body, str(error))) from error


def _beyond(body: bytes) -> str:
    """Return the subject of what is said of a number that is too large: its field, if it has one.

    Examples
    --------
    >>> _beyond(b'{"rows": [{"age": 4}, {"age": -1e999}]}'), _beyond(b"[1e999]")
    ("the field 'age' holds a number", 'a number is')
    """
    found: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> None:
        found.extend(
            name for name, value in pairs if isinstance(value, float) and math.isinf(value)
        )

    with suppress(ValueError, RecursionError):  # what one reader takes another may not
        json.loads(body, object_pairs_hook=note)
    return f"the field {found[0][:80]!r} holds a number" if found else "a number is"


def malformed(body: bytes, said: str) -> str:
    """Say why bytes are no JSON, by the decoder's words and what stands there.

    Examples
    --------
    >>> malformed(b'{"age": NaN}', "JSON is malformed: invalid character (byte 8)")
    'JSON has no NaN (byte 8): send null.'
    >>> malformed(b'{"age": 4', "Input data was truncated")
    'the body is not valid JSON: it ends too early.'
    """
    found = AT_BYTE.search(said)
    at = int(found[1]) if found else 0
    literal = LITERAL.match(body, max(0, at - 1)) or LITERAL.match(body, at)
    if found and literal:
        word = literal[0].decode().lstrip("+")
        return f"JSON has no {word} (byte {at}): send null."
    if "truncated" in said:
        return "the body is not valid JSON: it ends too early."
    reason = said.removeprefix("JSON is malformed: ")
    return f"the body is not valid JSON: {reason[:1].lower()}{reason[1:]}."
