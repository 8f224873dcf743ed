"""Which machine a slot of a worker belongs to, so that names of several machines never meet.

A machine here is a home on a host: two homes on one host are two machines.
"""

from __future__ import annotations

import hashlib
import socket
from functools import cache

from promise.settings import Settings

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


def machine_id(settings: Settings | None = None) -> str:
    """Return six letters and digits that stand for a home on this host, or as its settings say.

    Parameters
    ----------
    settings
        Of the home; None for the host alone.

    Examples
    --------
    >>> one = Settings.load({"PROMISE_HOME": "one"})
    >>> machine_id(one) == machine_id(Settings.load({"PROMISE_HOME": "two"}))
    False
    >>> machine_id(Settings.load({"PROMISE_MACHINE": "web-1"}))
    'c5so6f'
    """
    if settings is None:
        return _short(socket.gethostname())
    return _short(settings.machine or f"{socket.gethostname()}\0{settings.home.resolve()}")


@cache
def _short(name: str) -> str:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return base36(int.from_bytes(digest, "big") % 36**_WIDTH, _WIDTH)


def home_slot(settings: Settings, slot: str | int) -> str:
    """Return the slot with the machine that its home is."""
    return machine_slot(slot, machine_id(settings))


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
