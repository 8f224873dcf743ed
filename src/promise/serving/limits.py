"""What one worker accepts: sizes, times and encodings, and how it refuses what goes beyond."""

from __future__ import annotations

from dataclasses import dataclass

from promise.serving.problems import Refused

_HANG_UP = [("connection", "close")]  # what is left of the body would be read as a request


@dataclass(frozen=True)
class Limits:
    """What one worker accepts.

    Parameters
    ----------
    body_mb, rows
        Largest body and batch; above them 413.
    queue
        Requests in flight above which new ones are shed with 429.
    deadline_ms
        Where a request names none (`X-Deadline-Ms`).
    read_s
        How long a client may take to send its body.
    drain_s
        How long requests in flight may take once the worker was told to stop.
    """

    body_mb: float = 8.0
    rows: int = 10_000
    queue: int = 256
    deadline_ms: float = 10_000.0
    read_s: float = 10.0
    drain_s: float = 20.0

    @property
    def body_bytes(self) -> int:
        """Most bytes of a body."""
        return int(self.body_mb * 2**20)

    def deadline_of(self, told: str | None) -> float:
        """Return how long the client waits in ms: what it told, at most what is allowed.

        Examples
        --------
        >>> Limits().deadline_of("250"), Limits().deadline_of(None)
        (250.0, 10000.0)
        """
        if told is None:
            return self.deadline_ms
        try:
            wanted = float(told)
        except ValueError:
            wanted = float("nan")
        if not wanted >= 0:
            detail = f"X-Deadline-Ms is {told!r}; expected milliseconds from now, e.g. 250."
            raise Refused(400, "unreadable deadline", detail)
        return min(wanted, self.deadline_ms)

    def check_encoding(self, told: str) -> None:
        """Refuse a body that is compressed."""
        if told.strip().lower() not in ("", "identity"):
            detail = f"content-encoding {told!r} is not read; send plain JSON."
            raise Refused(415, "unsupported encoding", detail)

    def check_told_length(self, told: str) -> None:
        """Refuse a body by the length that its header tells, before it is read."""
        if told.isascii() and told.isdigit() and int(told[:19]) > self.body_bytes:
            raise self.too_large()

    def too_large(self, *, unread: bool = True) -> Refused:
        """Return the refusal of a body that is larger than allowed, of which more may come."""
        detail = (
            f"a body may have {self.body_mb:g} MiB; send fewer rows at a time, or use "
            "`promise predict`."
        )
        return Refused(413, "body too large", detail, unread=unread, headers=_HANG_UP)

    def too_slow(self) -> Refused:
        """Return the refusal of a body that did not come in time."""
        detail = f"the body did not arrive within {self.read_s:g} s; send it faster or in parts."
        return Refused(408, "request timeout", detail, headers=_HANG_UP)

    def too_many(self, waiting: int) -> Refused:
        """Return the refusal of a request while too many others wait."""
        detail = f"{waiting} requests are waiting already; send it again shortly."
        return Refused(429, "too many requests", detail, headers=[("retry-after", "1")])
