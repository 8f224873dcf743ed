"""The answers to one request, and how they are sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from promise.serving.posts import Post

Source = Literal["model", "cache", "previous", "heuristic"]

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Answered:
    """The answers to one request.

    Parameters
    ----------
    post
        Who answered, or, for the heuristic, who should have.
    encoded
        Each row's answer as JSON.
    """

    post: Post
    ids: list[str]
    encoded: list[bytes]
    source: Source

    @property
    def fallback(self) -> str | None:
        """`previous` or `heuristic` where the chosen version did not answer, else None."""
        return self.source if self.source in ("previous", "heuristic") else None

    @property
    def answers(self) -> list[dict[str, Any]]:
        """Each row's answer as a dictionary."""
        return [_decode(one) for one in self.encoded]

    def body(self) -> bytes:
        """Return the response as the lane sends it."""
        if len(self.ids) == 1:
            rows = b'{"id":"' + self.ids[0].encode() + b'",' + self.encoded[0][1:]
        else:
            rows = b",".join(
                b'{"id":"' + id.encode() + b'",' + one[1:]
                for id, one in zip(self.ids, self.encoded, strict=True)
            )
        if self.fallback is None:
            return self.post.head + rows + b"]}"
        return self.post.head + rows + b'],"fallback":"' + self.fallback.encode() + b'"}'
