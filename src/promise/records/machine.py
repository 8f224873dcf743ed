"""Which machine a slot of a worker belongs to, so that names of several machines never meet."""

from __future__ import annotations

import hashlib
import socket
from functools import cache

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_WIDTH = 6


def base36(number: int, width: int = 1) -> str:
    """Write a number in base 36, so that texts of one width sort as numbers do.

    Examples
    --------
    >>> base36(35), base36(36, width=4)
    ('z', '0010')
    """
    text = ""
    while number:
        number, rest = divmod(number, 36)
        text = DIGITS[rest] + text
    return text.rjust(width, "0")


@cache
def machine_id() -> str:
    """Return six letters and digits that stand for this machine's name."""
    digest = hashlib.blake2b(socket.gethostname().encode(), digest_size=8).digest()
    return base36(int.from_bytes(digest, "big") % 36**_WIDTH, _WIDTH)


def machine_slot(slot: str | int, machine: str | None = None) -> str:
    """Return the slot with its machine, `MACHINE.SLOT`; one that has it already stays as it is.

    Examples
    --------
    >>> machine_slot(0, machine="k3x9qa")
    'k3x9qa.0'
    >>> machine_slot("k3x9qa.0")
    'k3x9qa.0'
    """
    text = str(slot).replace("-", "_")  # the minus sign separates the parts of an id
    return text if "." in text else f"{machine or machine_id()}.{text}"


def machine_of(prediction_id: str) -> str:
    """Return the machine that gave a prediction its id; empty where it is no such id.

    Examples
    --------
    >>> machine_of("k3x9qa.0-mabc1234-0000001")
    'k3x9qa'
    """
    machine, dot, rest = prediction_id.partition(".")
    return machine if dot and rest.count("-") == 2 else ""
