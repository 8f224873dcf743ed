"""Every route in one table: what it takes, answers, refuses and needs.

The server's routes and the OpenAPI document are both made from it, so neither can lack one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from promise.pipeline.finding import MOST
from promise.serving import bodies, compatible, oip, people
from promise.serving.about import list_models, show_model, show_status, show_version
from promise.serving.auth import Need
from promise.serving.call import Call
from promise.serving.explanations import explain_rows
from promise.serving.feedback import accept_events, accept_labels
from promise.serving.health import show_alive, show_ready
from promise.serving.people_asked import ListSent
from promise.serving.review import MOST_SHOWN, ORDERS, SHOWN, ReviewAnswer, show_review


@dataclass(frozen=True)
class Parameter:
    """A parameter of a query or header."""

    name: str
    where: str
    text: str
    schema: dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """One method of one path.

    Parameters
    ----------
    run
        Answers a call; a plain function runs in a thread. None where another part answers: the
        lane, or a page that is made from this very table.
    scope
        What the API key must allow; None where nobody is asked for a key.
    sends
        Types that the body may be; empty for no body. `rows` are a model's own request.
    answers
        Type of the answer; None for text.
    refuses
        Statuses beside those that every request can get, with what they mean.
    also
        Statuses that carry the ordinary answer, beside 200.
    """

    method: str
    path: str
    id: str
    tag: str
    run: Callable[[Call], Any] | None
    answers: type | None
    scope: Need | None = "any"
    sends: tuple[type, ...] = ()
    rows: bool = False
    refuses: dict[int, str] = field(default_factory=dict)
    also: dict[int, str] = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    summary: str = ""
    media_type: str = "application/json"

    @property
    def asks_database(self) -> bool:
        """Whether it cannot be answered without the database."""
        return self.refuses.get(503) == DATABASE[503]

    @property
    def about(self) -> str:
        """The first line of what it does."""
        text = self.summary or (self.run.__doc__ if self.run is not None else "") or ""
        return text.splitlines()[0].rstrip(".")


UNKNOWN_MODEL = {404: "There is no such model; near names are told."}
NOT_LIVE = {**UNKNOWN_MODEL, 409: "The model cannot do this in its present state."}
NOT_READY = {503: "It is not available at the moment; try again."}
INVALID = {400: "The body is no JSON.", 422: "The body or a parameter does not fit."}
DATABASE = {503: "The database does not answer at the moment; try again."}
LATE = {504: "The deadline passed, and nothing could answer in its place."}

ENTITY = Parameter(
    "X-Entity",
    "header",
    "Whom the request is about: the same entity stays with the same version.",
    {"type": "string"},
)
DEADLINE = Parameter(
    "X-Deadline-Ms",
    "header",
    "Milliseconds that the client waits; at most the server's own bound.",
    {"type": "number", "minimum": 0},
)
MODEL = Parameter(
    "model",
    "query",
    "The model that answers; the only one of its kind without it.",
    {"type": "string"},
)
VERSION = Parameter(
    "version",
    "query",
    "A version that is served; the live one without it.",
    {"type": "integer", "minimum": 1},
)
AT = Parameter(
    "at",
    "query",
    "A moment in ISO 8601 with its zone; now without it.",
    {"type": "string", "format": "date-time", "maxLength": 40},
)
TO_REVIEW = Parameter(
    "limit",
    "query",
    "At most so many answers.",
    {"type": "integer", "minimum": 1, "maximum": MOST_SHOWN, "default": SHOWN},
)
REVIEW_ORDER = Parameter(
    "order",
    "query",
    "Which come first: the oldest, or those that the model was least certain of.",
    {"enum": list(ORDERS), "default": "oldest"},
)
WANTED = Parameter(
    "limit",
    "query",
    "How many are wanted.",
    {"type": "integer", "minimum": 1, "maximum": MOST, "default": 20},
)
EXCLUDE = Parameter(
    "exclude",
    "query",
    "Ids that are not wanted, with commas between; all other parameters are filters.",
    {"type": "string", "maxLength": 10_000},
)
FEATURES = Parameter(
    "features",
    "query",
    "Whether each item comes with the values that it was ranked by.",
    {"type": "boolean", "default": False},
)
LIMIT = Parameter(
    "limit",
    "query",
    "At most so many transitions, the newest first.",
    {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 50},
)

PREDICT = Operation(
    "POST", "/v1/models/{name}/predict", "predict", "models", None, None, "predict",
    rows=True, parameters=(ENTITY, DEADLINE),
    refuses={**INVALID, **NOT_LIVE, **NOT_READY, **LATE},
    summary="Answer one row, or several as `rows`.",
)  # fmt: skip

OPERATIONS: tuple[Operation, ...] = (
    PREDICT,
    Operation(
        "POST", "/v1/models/{name}/explain", "explain", "models", explain_rows,
        bodies.ExplainAnswer, "predict", rows=True, parameters=(VERSION,),
        refuses={**INVALID, **NOT_LIVE, **NOT_READY},
    ),
    Operation(
        "POST", "/predict", "predict_domain", "models", compatible.predict_domain,
        compatible.DomainAnswer, "predict", sends=(compatible.DomainSent,),
        parameters=(MODEL, ENTITY, DEADLINE), refuses={**INVALID, **NOT_LIVE, **NOT_READY, **LATE},
    ),
    Operation(
        "POST", "/v1/labels", "label", "feedback", accept_labels, bodies.LabelsAnswer, "label",
        sends=(bodies.LabelSent, bodies.LabelsSent), parameters=(DEADLINE,),
        refuses={**INVALID, **DATABASE},
    ),
    Operation(
        "GET", "/v1/models/{name}/review", "review", "feedback", show_review, ReviewAnswer, "label",
        parameters=(TO_REVIEW, REVIEW_ORDER),
        refuses={**DATABASE, **UNKNOWN_MODEL, 422: "A parameter does not fit."},
    ),
    Operation(
        "POST", "/v1/models/{name}/events", "events", "feedback", accept_events,
        bodies.EventsAnswer, "label", sends=(bodies.EventSent, bodies.EventsSent),
        parameters=(DEADLINE,),
        refuses={
            **INVALID, **DATABASE, **UNKNOWN_MODEL,
            409: "An event id is known with another content.",
        },
    ),
    Operation(  # before lists: an id may hold a slash
        "GET", "/v1/models/{name}/{noun}/{id}/similar", "similar", "lists", people.list_similar,
        bodies.ListAnswer, "predict", parameters=(WANTED, DEADLINE),
        refuses={**NOT_LIVE, **NOT_READY, **LATE, 422: "A parameter does not fit."},
    ),
    Operation(
        "GET", "/v1/models/{name}/{noun}/{id}", "list", "lists", people.list_for,
        bodies.ListAnswer, "predict", parameters=(WANTED, EXCLUDE, FEATURES, DEADLINE),
        refuses={**NOT_LIVE, **NOT_READY, **LATE, 422: "A parameter does not fit."},
    ),
    Operation(
        "POST", "/v1/models/{name}/{noun}", "list_for_profile", "lists", people.list_for_profile,
        bodies.ListAnswer, "predict", sends=(ListSent,), parameters=(DEADLINE,),
        refuses={**INVALID, **NOT_LIVE, **NOT_READY, **LATE},
    ),
    Operation(
        "DELETE", "/v1/models/{name}/{noun}/{id}", "forget", "lists", people.forget,
        bodies.ForgottenAnswer, "admin", parameters=(DEADLINE,),
        refuses={**NOT_LIVE, **DATABASE, 422: "The id does not fit."},
    ),
    Operation(
        "GET", "/v1/models", "list_models", "models", list_models, bodies.ModelsAnswer,
        refuses=DATABASE,
    ),
    Operation(
        "GET", "/v1/models/{name}", "show_model", "models", show_model, bodies.ModelAnswer,
        refuses={**DATABASE, **UNKNOWN_MODEL},
    ),
    Operation(
        "GET", "/v1/models/{name}/versions/{version}", "show_version", "models", show_version,
        bodies.VersionAnswer, refuses={**DATABASE, **UNKNOWN_MODEL},
    ),
    Operation(
        "GET", "/v1/status/{name}", "show_status", "models", show_status, bodies.StatusAnswer,
        parameters=(AT, LIMIT),
        refuses={**DATABASE, **UNKNOWN_MODEL, 422: "A parameter does not fit."},
    ),
    Operation(
        "GET", "/healthz", "alive", "operations", show_alive, bodies.AliveAnswer, None
    ),
    Operation(
        "GET", "/readyz", "ready", "operations", show_ready, bodies.ReadyAnswer, None,
        also={503: "This worker wants no traffic."},
    ),
    Operation(
        "GET", "/metrics", "metrics", "operations", None, None,
        summary="Show counts of all workers in Prometheus' text format.", media_type="text/plain",
    ),
    Operation(
        "GET", "/openapi.json", "openapi", "operations", None, dict,
        summary="Show this document.",
    ),
    Operation(
        "GET", "/docs", "docs", "operations", None, None,
        summary="Show this document as a page.", media_type="text/html",
    ),
    Operation(
        "GET", "/v2", "v2_server", "open inference protocol", oip.server_metadata,
        oip.ServerMetadata,
    ),
    Operation(
        "GET", "/v2/health/live", "v2_live", "open inference protocol", oip.server_live,
        oip.LiveAnswer, None,
    ),
    Operation(
        "GET", "/v2/health/ready", "v2_ready", "open inference protocol", oip.server_ready,
        oip.ServerReady, None, also={503: "This worker wants no traffic."},
    ),
    *(
        operation
        for part, suffix in (("", ""), ("/versions/{version}", "_version"))
        for operation in (
            Operation(
                "GET", f"/v2/models/{{name}}{part}", f"v2_model{suffix}",
                "open inference protocol", oip.model_metadata, oip.ModelMetadata,
                refuses={**NOT_LIVE, **NOT_READY},
            ),
            Operation(
                "GET", f"/v2/models/{{name}}{part}/ready", f"v2_model_ready{suffix}",
                "open inference protocol", oip.model_ready, oip.ModelReady,
                refuses=UNKNOWN_MODEL, also={503: "The model cannot answer yet."},
            ),
            Operation(
                "POST", f"/v2/models/{{name}}{part}/infer", f"v2_infer{suffix}",
                "open inference protocol", oip.infer, oip.InferAnswer, "predict",
                sends=(oip.InferSent,), parameters=(ENTITY, DEADLINE),
                refuses={**INVALID, **NOT_LIVE, **NOT_READY, **LATE},
            ),
        )
    ),
)  # fmt: skip
"""Every route of the server, the lane's too."""
