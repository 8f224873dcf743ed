"""What a user can act on: every error says what came, what was expected and what to do next."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from difflib import get_close_matches

_NO_ROOM = re.compile(r"\d+ requested and \d+ written|No space left on device")
"""How libraries in C say it, which pass no error number on."""


class PromiseError(Exception):
    """A user's error: the command line prints it as one line and exits with 1."""


class DataError(PromiseError):
    """The data cannot be used as it is; names the row, column or key."""


class ConfigError(PromiseError):
    """A flag, setting or configuration key cannot be used as given."""


class MemoryRefused(PromiseError):
    """The work does not fit the memory bound; names the need and the ways out."""


class MissingExtra(PromiseError):
    """An optional library is absent; names the extra that brings it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the `{extra}` extra: pip install 'promise-ml[{extra}]'.")
        self.what = what
        self.extra = extra


class ArtifactError(PromiseError):
    """A stored version or export is damaged, of an unknown kind or of a newer format."""


class StateError(PromiseError):
    """The database or the artifact store does not answer; the message says what was changed."""


class FitFailed(PromiseError):
    """One isolated piece of work ended early; the rest of the run goes on.

    `reason` is one of `"memory"`, `"deadline"`, `"disk"`, `"crash"` or `"error"`.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[FitFailed], tuple[str, str]]:
        return FitFailed, (str(self), self.reason)


def disk_is_full(error: BaseException) -> bool:
    """Say whether an error, or what it came from, means that a disk had no room left.

    Examples
    --------
    >>> disk_is_full(OSError(errno.ENOSPC, "No space left on device"))
    True
    >>> disk_is_full(OSError("4096 requested and 512 written"))  # NumPy tells no number
    True
    >>> disk_is_full(OSError(errno.EACCES, "Permission denied"))
    False
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if isinstance(cause, FitFailed) and cause.reason == "disk":
            return True
        if _NO_ROOM.search(str(cause)):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def near(name: str, known: Iterable[str]) -> str:
    """Say which known names the user may have meant, as the end of a sentence.

    Examples
    --------
    >>> near("incme", ["income", "age"])
    "did you mean 'income'?"
    >>> near("zzz", ["income", "age"])
    'known: income, age.'
    """
    names = list(known)
    if not names:
        return "there are none."
    by_lower = {candidate.lower(): candidate for candidate in reversed(names)}
    found = get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)
    if found:
        return "did you mean " + " or ".join(repr(by_lower[match]) for match in found) + "?"
    shown = ", ".join(names[:12]) + (f" … ({len(names)} in all)" if len(names) > 12 else "")
    return f"known: {shown}."
