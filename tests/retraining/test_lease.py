"""One at a time, and nothing is registered by one whose lease is lost."""

from __future__ import annotations

import threading

import pytest

from promise.clock import ManualClock
from promise.errors import StateError
from promise.retraining.lease import Hold, LeaseLost, admit_holder, lease_key
from promise.rollout.leases import Leases
from promise.state.database import Database

PATIENCE_S = 60.0


class Beating(Leases):
    """Tells when the heartbeat has renewed the lease a few times."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        super().__init__(database, clock)
        self.beats, self.heard = 0, threading.Event()

    def take(self, key: str, holder: str, for_s: float) -> bool:
        taken = super().take(key, holder, for_s)
        self.beats += 1
        if self.beats > 3:
            self.heard.set()
        return taken


def test_a_heartbeat_renews_the_lease_until_the_block_ends(database: Database) -> None:
    clock = ManualClock()
    leases, others = Beating(database, clock), Leases(database, clock)
    assert leases.take(lease_key("churn"), "a", 0.03)
    with Hold(leases, "churn", "a", 0.03) as hold:
        clock.advance(0.02)
        assert leases.heard.wait(PATIENCE_S)
        clock.advance(0.02)  # over, were it not for the beats since
        assert not others.take(lease_key("churn"), "b", 0.03)
        assert others.take(lease_key("fraud"), "b", 0.03)
        hold.check()
    assert others.take(lease_key("churn"), "b", 0.03)


def test_a_lost_lease_is_noticed_and_not_given_back(database: Database) -> None:
    clock = ManualClock()
    leases = Leases(database, clock)
    leases.take(lease_key("churn"), "a", 0.03)
    with Hold(leases, "churn", "a", 0.03) as hold:
        taken = False
        while not taken:  # between two beats, as from a machine that was suspended
            clock.advance(1)
            taken = leases.take(lease_key("churn"), "b", 0.2)
        assert hold.wait_lost(PATIENCE_S)
        with pytest.raises(LeaseLost, match="retraining churn was lost"):
            hold.check()
    assert leases.holder(lease_key("churn")) == "b"


def test_the_transaction_that_registers_looks_itself(database: Database) -> None:
    clock = ManualClock()
    leases = Leases(database, clock)
    leases.take(lease_key("churn"), "a", 10)

    def admitted(holder: str) -> None:
        database.run(lambda c: admit_holder(c, leases, "churn", holder))

    admitted("a")
    with pytest.raises(LeaseLost, match="before the version was registered"):
        admitted("b")
    clock.advance(11)
    with pytest.raises(LeaseLost):
        admitted("a")


def test_a_heartbeat_counts_from_when_it_was_sent(database: Database) -> None:
    clock = ManualClock()

    class Slow(Leases):
        def take(self, key: str, holder: str, for_s: float) -> bool:
            taken = super().take(key, holder, for_s)
            clock.advance(6)
            return taken

    hold = Hold(Slow(database, clock), "churn", "a", 10)
    assert hold._renewed()
    clock.advance(4)
    assert Leases(database, clock).take(lease_key("churn"), "b", 10)

    class Away(Leases):
        def take(self, key: str, holder: str, for_s: float) -> bool:
            raise StateError("the database is away")

    hold._leases = Away(database, clock)
    assert not hold._renewed()
