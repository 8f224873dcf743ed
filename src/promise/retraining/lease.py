"""One retraining of a name at a time over all machines: a lease with a heartbeat."""

from __future__ import annotations

import hashlib
import logging
import threading
from types import TracebackType
from typing import Self

import sqlalchemy as sa

from promise.errors import PromiseError
from promise.rollout.leases import Leases

log = logging.getLogger(__name__)

LEASE_S = 30.0
"""How long a lease outlives its holder's last heartbeat."""


class LeaseLost(PromiseError):
    """Another machine took over, since this one was not heard of for too long."""


def lease_key(name: str) -> str:
    """Return the key of a name's lease; a name itself may be as long as the column of keys.

    Examples
    --------
    >>> len(lease_key("x" * 63)), lease_key("churn") == lease_key("fraud")
    (40, False)
    """
    return f"retrain:{hashlib.blake2b(name.encode(), digest_size=16).hexdigest()}"


def admit_holder(connection: sa.Connection, leases: Leases, name: str, holder: str) -> None:
    """Let a transaction go on only while the lease is held; raises LeaseLost."""
    if leases.holder_in(connection, lease_key(name)) != holder:
        raise LeaseLost(
            f"the lease on retraining {name} was lost before the version was registered; whoever "
            "holds it now trains."
        )


class Hold:
    """Keeps a lease that was taken, for a block; a thread renews it.

    Parameters
    ----------
    for_s
        How long the lease lasts without a heartbeat; one beats three times as often.
    """

    def __init__(self, leases: Leases, name: str, holder: str, for_s: float = LEASE_S) -> None:
        self._leases, self._name, self._holder, self._for_s = leases, name, holder, for_s
        self._ending = threading.Event()
        self._lost = threading.Event()
        self._renewed_s = leases.clock.monotonic()
        self._thread = threading.Thread(target=self._beat, name=f"lease-{name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._thread.join()
        if self.wait_lost(0):
            return
        try:
            self._leases.release(lease_key(self._name), self._holder)
        except (PromiseError, sa.exc.SQLAlchemyError) as failed:
            log.info("the lease runs out by itself", extra={"error": str(failed)})

    def wait_lost(self, timeout_s: float) -> bool:
        """Wait until somebody else may hold the lease; say whether that came."""
        return self._lost.wait(timeout_s)

    def check(self) -> None:
        """Raise LeaseLost where the lease is not ours any more."""
        if self.wait_lost(0):
            raise LeaseLost(
                f"the lease on retraining {self._name} was lost; whoever holds it now trains."
            )

    def _beat(self) -> None:
        while not self._ending.wait(self._for_s / 3):
            if not self._renewed():
                self._lost.set()
                return

    def _renewed(self) -> bool:
        """Renew once; a database that is away loses the lease only when its time is over."""
        clock = self._leases.clock
        begun_s = clock.monotonic()  # the lease counts from then, however long the database took
        try:
            if not self._leases.take(lease_key(self._name), self._holder, self._for_s):
                return False
        except (PromiseError, sa.exc.SQLAlchemyError) as error:
            log.warning("no heartbeat", extra={"model": self._name, "error": str(error)})
            return clock.monotonic() - self._renewed_s < self._for_s
        self._renewed_s = begun_s
        return True
