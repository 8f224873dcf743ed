"""The API beside the lane: FastAPI routes made from the table of operations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from anyio import CapacityLimiter
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from promise.clock import Clock
from promise.errors import near
from promise.pipeline.finding import NOUNS
from promise.serving.arrivals import Disconnected
from promise.serving.auth import Need, authorise
from promise.serving.call import Call, Reply, answer, as_response, read_body
from promise.serving.catalogue import Catalogue
from promise.serving.docs_page import page
from promise.serving.endpoints import Snapshot
from promise.serving.metrics_page import MetricsPage
from promise.serving.openapi import document
from promise.serving.operations import DEADLINE, OPERATIONS, Operation
from promise.serving.problems import problem
from promise.serving.refusals import problem_of
from promise.serving.worker import Worker

_DATABASE_THREADS = 16  # a database that hangs holds these up and nothing else
_OTHER_THREADS = 8
Respond = Callable[[Request], Awaitable[Response]]
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
        if run is None:
            continue
        for path, named in _paths(operation):
            app.add_api_route(
                path,
                rest.endpoint(operation, run, named),
                methods=[operation.method],
                name=operation.id,
                include_in_schema=False,
            )
    app.add_exception_handler(HTTPException, _refuse_route)
    app.add_exception_handler(Exception, _refuse_unforeseen)
    return app


def _paths(operation: Operation) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the paths of an operation, one for each noun, with what they stand for.

    An id of a list may hold a slash: servers decode paths before they are routed.
    """
    if "{noun}" not in operation.path:
        yield operation.path, {}
        return
    for path in dict.fromkeys((operation.path, operation.path.replace("{id}", "{id:path}"))):
        for noun in NOUNS:
            yield path.replace("{noun}", noun), {"noun": noun}


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

    def endpoint(self, operation: Operation, run: Run, named: Mapping[str, str]) -> Respond:
        """Return a route's function: authorised, bounded, answered; every error is a problem.

        Parameters
        ----------
        named
            What the path stands for beside its parameters.
        """

        async def respond(request: Request) -> Response:
            try:
                self._admit(request, operation.scope)
                self.in_flight += 1
                try:
                    call = await self._call(request, operation, named)
                    return await answer(call, run, threads=self._threads(operation))
                finally:
                    self.in_flight -= 1
            except Disconnected as error:
                self.worker.counters.count("disconnected")
                return as_response(problem_of(error))
            except Exception as error:
                found = problem_of(error)
                self.worker.count_refusal(found.status, request.path_params.get("name", ""))
                return as_response(found)

        return respond

    def _threads(self, operation: Operation) -> CapacityLimiter | None:
        """Return where a handler runs: probes on the loop, what asks the database apart."""
        if operation.scope is None:
            return None
        if not self._limiters:  # they belong to the running loop
            sizes = {True: _DATABASE_THREADS, False: _OTHER_THREADS}
            self._limiters = {asks: CapacityLimiter(n) for asks, n in sizes.items()}
        return self._limiters[operation.asks_database]

    def _admit(self, request: Request, scope: Need | None) -> None:
        """Refuse a request that is not even read: without a key, or one too many."""
        if scope is None:
            return  # probes are answered in any case
        found = authorise(self.worker, request.scope["headers"], scope)
        if found is None and self.in_flight >= self.worker.limits.queue:
            found = self.worker.limits.too_many(self.in_flight)
        if found is not None:
            raise found

    async def _call(self, request: Request, operation: Operation, named: Mapping[str, str]) -> Call:
        began_s, limits = self.clock.monotonic(), self.worker.limits
        told = request.headers.get(DEADLINE.name) if DEADLINE in operation.parameters else None
        return Call(
            worker=self.worker,
            clock=self.clock,
            catalogue=self.catalogue,
            snapshot=self.worker.runtime.snapshot,
            path={**request.path_params, **named},
            query=dict(request.query_params),
            headers=request.headers,
            until_s=began_s + limits.deadline_of(told) * 1e-3,
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
