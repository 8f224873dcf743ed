"""The API beside the lane: FastAPI routes made from the table of operations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from anyio import CapacityLimiter
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from promise.clock import Clock
from promise.errors import near
from promise.serving.auth import Need, authorise
from promise.serving.call import Call, Reply, answer, as_response, problem_of, read_body
from promise.serving.catalogue import Catalogue
from promise.serving.docs_page import page
from promise.serving.metrics_page import MetricsPage
from promise.serving.openapi import document
from promise.serving.operations import OPERATIONS, Operation
from promise.serving.problems import problem
from promise.serving.runtime import Snapshot
from promise.serving.worker import Worker

_DATABASE_THREADS = 16  # a database that hangs holds these up and nothing else
_OTHER_THREADS = 8
_COUNTED = {
    400: "bad_requests",
    408: "slow_clients",
    413: "too_large",
    422: "bad_requests",
    500: "server_errors",
    504: "late",
}

Endpoint = Callable[[Request], Awaitable[Response]]
Run = Callable[[Call], Any]


def build_api(worker: Worker, *, clock: Clock | None = None) -> FastAPI:
    """Return the application that answers everything but the lane's predictions.

    Parameters
    ----------
    worker
        What the process serves with; `worker.runtime` is started by whoever runs it.
    clock
        The worker's own, unless given.
    """
    rest = _Rest(worker, clock or worker.clock)
    app = FastAPI(title="Promise", openapi_url=None, docs_url=None, redoc_url=None)
    app.router.redirect_slashes = False
    app.openapi = rest.describe  # type: ignore[method-assign]
    for operation in OPERATIONS:
        run = rest.runner(operation)
        if run is not None:
            app.add_api_route(
                operation.path,
                rest.endpoint(operation, run),
                methods=[operation.method],
                name=operation.id,
                include_in_schema=False,
            )
    app.add_exception_handler(HTTPException, _refuse_route)
    app.add_exception_handler(Exception, _refuse_unforeseen)
    return app


@dataclass
class _Rest:
    """What the routes share: the worker, what the database knows, and pages made of both."""

    worker: Worker
    clock: Clock
    in_flight: int = 0
    catalogue: Catalogue = field(init=False)
    metrics: MetricsPage = field(init=False)
    _limiters: dict[bool, CapacityLimiter] = field(default_factory=dict)
    _described: tuple[Snapshot, dict[str, Any]] | None = None

    def __post_init__(self) -> None:
        self.catalogue = Catalogue.open(self.worker, self.clock)
        self.metrics = MetricsPage(self.worker, self.catalogue)

    def runner(self, operation: Operation) -> Run | None:
        """Return what answers an operation; None for the lane's."""
        pages: dict[str, Run] = {
            "metrics": self.metrics.render,
            "openapi": lambda _: self.describe(),
            "docs": lambda _: Reply(page(self.describe()), media_type="text/html"),
        }
        return operation.run or pages.get(operation.id)

    def describe(self) -> dict[str, Any]:
        """Return the OpenAPI document of what is served now; made anew when that changed."""
        snapshot = self.worker.runtime.snapshot
        if self._described is None or self._described[0] is not snapshot:
            self._described = (snapshot, document(snapshot))
        return self._described[1]

    def endpoint(self, operation: Operation, run: Run) -> Endpoint:
        """Return a route's function: authorised, bounded, answered; every error is a problem."""

        async def respond(request: Request) -> Response:
            refused = self._refused(request, operation.scope)
            if refused is not None:
                return refused
            self.in_flight += 1
            try:
                call = await self._call(request, operation)
                return await answer(call, run, threads=self._threads(operation))
            except Exception as error:
                found = problem_of(error)
                self._count(found.status, request)
                return as_response(found)
            finally:
                self.in_flight -= 1

        return respond

    def _count(self, status: int, request: Request) -> None:
        """Count a refusal as the lane does; names that nobody serves are not told apart."""
        name = request.path_params.get("name", "")
        known = name in self.worker.runtime.snapshot.endpoints
        if status in _COUNTED:
            self.worker.counters.count(_COUNTED[status], name if known else "")

    def _threads(self, operation: Operation) -> CapacityLimiter | None:
        """Return where a handler runs: probes on the loop, what asks the database apart."""
        if operation.scope is None:
            return None
        if not self._limiters:  # they belong to the running loop
            sizes = {True: _DATABASE_THREADS, False: _OTHER_THREADS}
            self._limiters = {asks: CapacityLimiter(n) for asks, n in sizes.items()}
        return self._limiters[operation.asks_database]

    def _refused(self, request: Request, scope: Need | None) -> Response | None:
        """Return the refusal of a request that is not even read: without a key, or one too many."""
        if scope is None:
            return None  # probes are answered in any case
        found = authorise(self.worker, request.scope["headers"], scope)
        if found is None and self.in_flight >= self.worker.limits.queue:
            self.worker.counters.count("shed")
            found = problem(
                429,
                "too many requests",
                f"{self.in_flight} requests are in flight; try again in a second.",
                headers=[("retry-after", "1")],
            )
        return None if found is None else as_response(found)

    async def _call(self, request: Request, operation: Operation) -> Call:
        return Call(
            worker=self.worker,
            clock=self.clock,
            catalogue=self.catalogue,
            snapshot=self.worker.runtime.snapshot,
            path=request.path_params,
            query=dict(request.query_params),
            headers=request.headers,
            body=await read_body(request, self.worker) if operation.method == "POST" else b"",
        )


async def _refuse_route(request: Request, error: Exception) -> Response:
    """Answer a path or method that is not there, with the near match."""
    assert isinstance(error, HTTPException), "registered for these alone"
    headers = list((error.headers or {}).items())
    path = request.url.path
    if error.status_code == 404:
        hint = near(path, sorted({operation.path for operation in OPERATIONS}))
        found = problem(404, "unknown path", f"There is no {path}; {hint}", instance=path)
    elif error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        detail = f"{path} does not take {request.method}; it takes {allowed}."
        found = problem(405, "method not allowed", detail, instance=path, headers=headers)
    else:
        detail = str(error.detail)
        found = problem(error.status_code, "refused", detail, instance=path, headers=headers)
    return as_response(found)


async def _refuse_unforeseen(request: Request, error: Exception) -> Response:  # noqa: ARG001
    return as_response(problem_of(error))
