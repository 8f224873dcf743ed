"""Connections that no worker has accepted yet: a server that ends loses none of them."""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct

_ATTACH_FILTER = 26  # SO_ATTACH_FILTER of Linux, which the socket module does not name
_NO_SYN = (
    (0x30, 0, 0, 13),  # load the flags of the TCP header
    (0x45, 0, 1, 0x02),  # SYN?
    (0x06, 0, 0, 0),  # drop it
    (0x06, 0, 0, 0x40000),  # pass on what belongs to a connection
)
"""Classic BPF: code, jump if true, jump if false, operand."""


def turn_away(listening: socket.socket) -> None:
    """Let nobody else connect, by any copy of a socket; who has connected still gets accepted.

    The kernel resets what waits in the backlog when the last copy closes; so the backlog must not
    grow any longer. Clients try again after a second and are refused by then. Where the system has
    no such filter, a moment remains in which a connection can be lost.
    """
    program = b"".join(struct.pack("=HBBI", *line) for line in _NO_SYN)
    kept = ctypes.create_string_buffer(program, len(program))
    told = struct.pack("@HP", len(_NO_SYN), ctypes.addressof(kept))
    with contextlib.suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, told)


def take_last(listening: socket.socket) -> list[socket.socket]:
    """Accept everything that waits, and close at once."""
    listening.setblocking(False)
    accepted = []
    try:
        while True:
            accepted.append(listening.accept()[0])
    except OSError:  # nothing more
        listening.close()
    return accepted
