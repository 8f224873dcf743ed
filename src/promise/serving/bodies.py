"""What requests beside predictions may hold and what answers look like, typed once.

The same types decode requests, encode answers and describe both in the OpenAPI document.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

PREDICTION_ID = r"^[0-9A-Za-z_]+\.[0-9A-Za-z_]+-[0-9a-z]+-[0-9a-z]+$"
"""What the ids of predictions look like: `MACHINE.SLOT-TIME-NUMBER`."""

PredictionId = Annotated[
    str,
    Meta(
        max_length=200,
        pattern=PREDICTION_ID,
        description="The `id` that came with the prediction.",
        examples=["k3x9qa.0-mabc1234-0000001"],
    ),
]
MOST = 10_000
"""Labels or events that one request may bring."""

Text = Annotated[str, Meta(min_length=1, max_length=200)]
Time = Annotated[
    str,
    Meta(
        max_length=40,
        description="A time in ISO 8601 with its zone.",
        examples=["2026-01-31T12:00:00Z"],
        extra_json_schema={"format": "date-time"},
    ),
]
LabelValue = bool | int | float | str | list[bool | int | float | str]
Count = Annotated[int, Meta(ge=0)]


class LabelSent(Struct, forbid_unknown_fields=True):
    """What came true of one prediction: its id (as `prediction_id` or `id`) and the label."""

    label: LabelValue
    prediction_id: PredictionId | UnsetType = UNSET
    id: PredictionId | UnsetType = UNSET
    model: Text | None = None
    source: Text | None = None
    event_at: Time | None = None
    known_at: Time | None = None


class LabelsSent(Struct, forbid_unknown_fields=True):
    """Several labels; all of them are kept, or none."""

    labels: Annotated[list[LabelSent], Meta(max_length=MOST)]


class LabelKept(Struct):
    """A label as it is kept; `revision` counts the different values of one source."""

    number: int
    prediction_id: str
    model: str
    source: str
    label: Any
    revision: int
    received_at: str
    known_at: str
    event_at: str | None = None


class LabelsAnswer(Struct):
    """How many labels were new, known already, or changed an earlier one."""

    accepted: Count
    unchanged: Count
    revisions: Count
    labels: list[LabelKept]


class EventSent(Struct, forbid_unknown_fields=True):
    """Something that happened; the same `event_id` again changes nothing.

    `other` is whom the entity did it to, for models that answer with lists.
    """

    event_id: Text | int
    entity: Text | int
    type: Text
    other: Text | int | None = None
    at: Time | None = None
    payload: dict[str, Any] | None = None


class EventsSent(Struct, forbid_unknown_fields=True):
    """Several events; all of them are kept, or none."""

    events: Annotated[list[EventSent], Meta(max_length=MOST)]


class EventKept(Struct, omit_defaults=True):
    """An event as it is kept."""

    number: int
    event_id: str
    entity: str
    type: str
    at: str
    received_at: str
    other: str = ""


class EventsAnswer(Struct, omit_defaults=True):
    """How many events were new, and how many were known already.

    `forgotten` counts those that tell of somebody who was deleted; they are left out. `unread` says
    which fields of profiles the live version cannot read; it takes the others.
    """

    accepted: Count
    unchanged: Count
    events: list[EventKept]
    forgotten: Count = 0
    unread: list[str] = []


class ListAnswer(Struct):
    """Who or what suits somebody, best first, and under which id that is logged.

    `cold_start` is true where nobody has told of them; `cached`, `stale` and `fallback` are there
    where they apply.
    """

    model: str
    version: int
    id: str | None
    items: list[dict[str, Any]]
    cold_start: bool
    exposure: str


class ForgottenAnswer(Struct):
    """Somebody was deleted: rows of the database, and places in this machine's logs."""

    model: str
    noun: str
    deleted: bool
    events: Count
    labels: Count
    mentions: Count


class ExplanationAnswer(Struct):
    """How much each input moved one answer, on the margin scale; with `base` it sums to it."""

    contributions: dict[str, float | None]
    base: float | None
    explained: Annotated[
        float, Meta(description="Share of the model that gives contributions, by weight.")
    ]
    of_class: str | None = None


class ExplainAnswer(Struct):
    """One explanation for each row, in order."""

    model: str
    version: int
    explanations: list[ExplanationAnswer]


class PromiseState(Struct):
    """A promise and the newest verdict on it."""

    promise: str
    that: str
    of: str | None
    bound: float
    due: str
    on_break: list[str]
    status: Literal["KEPT", "BROKEN", "UNKNOWN"]
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    needed: int | None = None
    warns: bool = False
    shared: bool = False
    reason: str = ""
    version: int | None = None
    stage: str | None = None
    at: str | None = None


class RouteState(Struct):
    """Who answers for a model: versions in their roles, and the stage of the rollout."""

    name: str
    stage: str
    live: int | None
    standby: int | None
    candidate: int | None
    share: Annotated[float, Meta(description="Percent of traffic that the candidate answers.")]
    since: str | None
    held: str
    experiment: Annotated[
        dict[str, float], Meta(description="Version to percent of traffic, lasting.")
    ]


class VersionState(Struct):
    """One registered version and the part it plays."""

    version: int
    created: str
    workload: str
    role: Literal["live", "standby", "candidate", "experiment", "registered"]
    loaded: bool
    failed: str | None
    metrics: dict[str, Any]
    labels: dict[str, str]
    state: Literal["active", "deprecated", "archived"]
    archive_at: str | None


class ModelSummary(RouteState):
    """A model in the listing."""

    versions: list[int]
    metrics: dict[str, Any]


class ModelsAnswer(Struct):
    """Every model that is registered or deployed."""

    models: list[ModelSummary]


class ModelAnswer(RouteState):
    """One model: route, versions, promises with their newest verdicts, and its request."""

    revision: int
    versions: list[VersionState]
    promises: list[PromiseState]
    request: Annotated[
        dict[str, Any] | None, Meta(description="JSON schema of one row, of the live version.")
    ]
    metrics: dict[str, Any]


class VersionAnswer(VersionState):
    """One version in full."""

    name: str
    digest: str
    lineage: dict[str, Any]
    promises: list[PromiseState]
    request: dict[str, Any] | None
    card: str


class TransitionAnswer(Struct):
    """One link of a model's chain: what changed, why, on which evidence."""

    seq: int
    at: str
    kind: str
    reason: str
    actor: str
    route: RouteState
    evidence: dict[str, Any]
    hash: str


class StatusAnswer(Struct):
    """What was in force at a moment, why, and how it came to be."""

    name: str
    at: str
    in_force: TransitionAnswer | None
    transitions: list[TransitionAnswer]


class AliveAnswer(Struct):
    """The process is alive."""

    status: Literal["alive"] = "alive"


class ModelReadiness(Struct):
    """Whether one model can answer, and what is missing."""

    ready: bool
    stage: str
    live: int | None
    loaded: list[int]
    failed: dict[str, str]


class ReadyAnswer(Struct):
    """Whether this worker should get traffic, and why not."""

    ready: bool
    draining: bool
    stale_s: Annotated[
        float, Meta(description="Seconds since the database last answered; 0 while it does.")
    ]
    models: dict[str, ModelReadiness]
