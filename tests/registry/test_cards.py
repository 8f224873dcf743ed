"""The card of a version tells its promises, its part in the rollout and where it came from."""

from __future__ import annotations

from promise.promises.spec import ModelFile, Promise
from promise.promises.verdict import Verdict
from promise.registry.cards import card, standing
from promise.registry.gates import Gates
from promise.registry.lifecycle import Route
from promise.registry.registry import Registry
from promise.registry.revisions import Revisions
from promise.registry.verdicts import Verdicts

METRICS = {
    "metric": "accuracy", "score": 0.8, "ci": [0.75, 0.85], "rows": 1200,
    "split": "random 20 %", "baseline": 0.6,
}  # fmt: skip


def test_a_card_tells_everything(registry: Registry, write) -> None:
    speed = Promise("speed", "latency_p99", at_most=12.0)
    drift = Promise("drift", "psi", at_most=0.1, of="age", due="live")
    declared = ModelFile(name="churn", promises=(speed, drift))
    Revisions(registry.database, registry.clock).declare("churn", declared)
    lineage = {"source": "x.csv", "fingerprint": "abc", "seed": 7, "code": {"version": "1.2"}}
    registry.register("churn", write())
    registry.register(
        "churn", write("# Churn\n\nIts own card.", metrics=METRICS, lineage=lineage,
                       views={"velocity": 3}), parents=["churn@1"],
    )  # fmt: skip
    life = registry.lifecycle
    first = life.commit(None, "deploy", Route("churn", stage="steady", live=1), reason="first")
    life.commit(
        first, "promote", Route("churn", stage="steady", live=2, standby=1), reason="better"
    )
    verdict = Verdict("speed", "latency_p99", "KEPT", 12.0, measured=9.5, n=4000)
    Verdicts(registry.database, registry.clock).record("churn", 2, "live", [verdict])
    registry.label("churn@2", {"owner": "risk"})
    registry.aliases.set("churn", "champion", 2)
    Gates(registry.database, registry.clock).record("churn", 2, False, {"blocking": ["speed"]})
    found = standing(registry, registry.find("churn@2"))
    text = card(found)
    for words in (
        "Its own card.",
        "serves as: live",
        "accuracy 0.8000 (95 % interval 0.7500 to 0.8500) on 1,200 rows: random 20 %",
        "baseline 0.6000",
        "last gate of churn@2: refused on",
        "aliases: champion",
        "label owner: risk",
        "Promises (revision 1)",
        "speed: latency_p99 at most 12, due canary: KEPT, measured 9.5 on 4,000 (live)",
        "drift: psi of age at most 0.1, due live: not judged yet",
        "made from: churn@1",
        "feature view velocity: 3",
        "code: 1.2",
        "promote by reconciler: live. better",
    ):
        assert words in text, words
    assert "first" not in text.split("## History")[1]
    shown = found.to_json()
    assert shown["gate"]["evidence"] == {"blocking": ["speed"]}
    assert (shown["role"], shown["aliases"]) == ("live", ["champion"])
    assert shown["promises"]["verdicts"][0]["verdict"]["status"] == "KEPT"
    before = card(standing(registry, registry.find("churn@1")))
    assert "serves as: standby" in before


def test_an_archived_version_has_a_card_without_files(registry: Registry, write) -> None:
    registry.register("churn", write(metrics=METRICS))
    registry.retire("churn@1", "too slow")
    registry.clock.advance(31 * 86_400)
    registry.sweep()
    text = card(standing(registry, registry.get("churn@1")))
    assert "state: archived" in text
    assert "too slow" in text
    assert "accuracy 0.8000" in text
