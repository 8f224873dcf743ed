"""A house whose model `meet` answers with lists of a few people, and how it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx

PEOPLE = {
    "ann": {"age": 30, "place": "Oslo"},
    "bob": {"age": 40, "place": "Oslo"},
    "cem": {"age": 25, "place": "Bergen"},
    "dan": {"age": 33, "place": "Oslo"},
}


@dataclass
class Meet:
    """A house in which a model `meet` answers with lists."""

    house: Any

    def deploy(self, people: Mapping[str, Any] = PEOPLE, **more: Any) -> int:
        """Register and deploy a version; the one before stands by."""
        number = self.register(people, **more)
        before = self.house.lifecycle.route("meet")
        self.house.commit(replace(before, stage="steady", live=number, standby=before.live))
        return number

    def register(self, people: Mapping[str, Any] = PEOPLE, **more: Any) -> int:
        from meeting import write_version

        version = self.house.registry.register(
            "meet", lambda draft: write_version(draft, people, **more)
        )
        return int(version.number)


def event(id: str, entity: str, other: str | None, type: str = "like") -> dict[str, Any]:
    return {"event_id": id, "entity": entity, "other": other, "type": type}


async def ids(http: httpx.AsyncClient, id: str = "ann", **query: Any) -> list[str]:
    response = await http.get(f"/v1/models/meet/people/{id}", params=query)
    assert response.status_code == 200, response.text
    return [item["id"] for item in response.json()["items"]]
