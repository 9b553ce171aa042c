"""A Toloka without sockets, clock or randomness of its own.

A transport answers a request in two steps, for a fault may strike before the request is complete::

    exchange = toloka.begin(method, path)
    # read the body, only part of it if exchange.cut_in_request; then wait exchange.delay_seconds
    response = exchange.finish(request)
    # carry out response.disruption, then send the response

A client that gives up during a wait does not stop the request: `finish` is called all the same. `handle`
takes both steps at once, where the wait does not matter.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.simulator.app_api import AppApi
from tests.simulator.assignments import Workers
from tests.simulator.calls import Call, Router, query_of
from tests.simulator.errors import ApiError
from tests.simulator.faults import Fault, Faults
from tests.simulator.knobs import Knobs, patched
from tests.simulator.lifecycle import Lifecycle
from tests.simulator.limits import Limits
from tests.simulator.messages import JSON_TYPE, Disruption, Request, Response, empty_response, json_response
from tests.simulator.spoiling import spoiled
from tests.simulator.state import State
from tests.simulator.tasks_api import TasksApi
from tests.simulator.times import http_date, microseconds
from tests.simulator.world import SHARED_ACCOUNT, default_world

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from tests.simulator.items import Item
    from tests.simulator.world import World

ACCOUNTS = ("", SHARED_ACCOUNT)


@dataclass(frozen=True)
class Exchange:
    """A request whose head has arrived.

    Attributes:
        delay_seconds: wait this long, once the body has arrived, before `finish`.
        cut_in_request: read only part of the body; `finish` will process nothing and cut the connection.
        finish: processes the request; returns the response and what becomes of it.
    """

    delay_seconds: float
    cut_in_request: bool
    finish: Callable[[Request], Response]


class Toloka:
    """The simulated Toloka.

    Args:
        clock: unix seconds.
        rng: seeded by the caller; with the clock and the requests it decides everything.
        knobs: how it behaves.
        world: apps and projects; the usual ones if None.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        rng: random.Random,
        knobs: Knobs | None = None,
        world: World | None = None,
    ) -> None:
        self.state = State(clock, rng, knobs or Knobs(), world or default_world())
        self.state.advance()
        self.lifecycle = Lifecycle(self.state)
        self.faults = Faults(rng)
        self.requests: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._limits = Limits()
        self.workers = Workers(self.state)
        self.tasks_api = TasksApi(self.state, self.workers, self._limits)
        app_api = AppApi(self.state, self.lifecycle, self._limits)
        self._routers: list[Router] = [app_api.router(), self.tasks_api.router()]

    @property
    def knobs(self) -> Knobs:
        """How this Toloka behaves at present."""
        return self.state.knobs

    @property
    def record(self) -> Sequence[Item]:
        """Every item ever created, late commits and deleted ones included."""
        return self.state.record

    def turn(self, **changes: Any) -> None:
        """Change some knobs from now on.

        Raises:
            ValueError: no such knob, or no such value.
        """
        self.state.advance()
        self.state.knobs = patched(self.state.knobs, changes)

    def advance(self) -> None:
        """Bring items and late commits up to the present, without any request."""
        self.state.advance()

    def handle(self, request: Request) -> Response:
        """Answer a request at once; a delay before processing is reported as one before the answer."""
        exchange = self.begin(request.method, request.path)
        response = exchange.finish(request)
        delay_seconds = response.disruption.delay_seconds + exchange.delay_seconds
        return replace(response, disruption=replace(response.disruption, delay_seconds=delay_seconds))

    def begin(self, method: str, path: str) -> Exchange:
        """Take in a request's head and decide on its fault."""
        self.state.advance()
        operation = self._operation(method, path)
        fault = self.faults.choose(operation, self.state.now_us)
        slow = fault is not None and fault.kind == "slow" and not fault.committed
        return Exchange(
            delay_seconds=fault.delay_seconds if fault and slow else 0.0,
            cut_in_request=fault is not None and fault.kind == "drop_request",
            finish=partial(self._finish, operation, fault),
        )

    def _finish(self, operation: str, fault: Fault | None, request: Request) -> Response:
        self.state.advance()
        request_id = self.state.new_request_id()
        response = self._befallen(fault, request, request_id)
        self.requests[operation][_outcome(response.disruption) or str(response.status)] += 1
        return self._dressed(request, response)

    def _befallen(self, fault: Fault | None, request: Request, request_id: str) -> Response:
        if fault is None:
            return self._answer(request, request_id)
        response = empty_response(200)
        if fault.kind == "late_commit":
            due_us = self.state.now_us + microseconds(fault.delay_seconds)
            self.state.schedule.at(due_us, partial(self._commit_late, request, request_id))
        elif not fault.preempts:
            seen = _without_cursor(request) if fault.kind == "same_page" else request
            response = self._answer(seen, request_id)
        return spoiled(fault, response, request_id)

    def _commit_late(self, request: Request, request_id: str, due_us: int) -> None:
        self.state.now_us = due_us
        self._answer(request, request_id, late_commit=True)

    def _answer(self, request: Request, request_id: str, *, late_commit: bool = False) -> Response:
        try:
            return self._dispatch(request, request_id, late_commit=late_commit)
        except ApiError as error:
            return json_response(error.body(request_id), error.status, error.headers)

    def _dispatch(self, request: Request, request_id: str, *, late_commit: bool) -> Response:
        account = self._admitted(request)
        router = self._router(request.path)
        if router is None:
            raise ApiError(404, "NOT_FOUND", "There is nothing at this path")
        route, path = router.find(request.method, request.path)
        if len(request.body) > self.knobs.max_body_bytes:
            raise ApiError(413)
        return route.handler(Call(request, request_id, account, path, query_of(request), late_commit))

    def _admitted(self, request: Request) -> str:
        """Return the account that the request acts for, if its credential and its rate are in order."""
        credential = request.header("authorization") or ""
        if credential not in self.knobs.credentials:
            raise ApiError(self.knobs.unauthorized_status, "AUTHENTICATION_ERROR", "Authentication failed")
        if not self._limits.request_fits(credential, self.knobs.requests_per_second, self.state.now_us):
            raise self._throttled()
        account = request.header("x-act-under-account-id") or ""
        if account not in ACCOUNTS:
            raise ApiError(403)
        return account

    def _throttled(self) -> ApiError:
        interval, retry_after = self.knobs.throttle_interval, self.knobs.retry_after_seconds
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return ApiError(429, payload={"interval": interval} if interval else None, headers=headers)

    def _router(self, path: str) -> Router | None:
        return next((router for router in self._routers if router.owns(path)), None)

    def _operation(self, method: str, path: str) -> str:
        router = self._router(path)
        try:
            return router.find(method, path)[0].operation if router else "unknown"
        except ApiError:
            return "unknown"

    def _dressed(self, request: Request, response: Response) -> Response:
        """Add what every answer has: the Date, and compression where it is wanted."""
        headers = dict(response.headers)
        if self.knobs.date_header:
            headers["Date"] = http_date(self.state.now_us + microseconds(self.knobs.date_skew_seconds))
        wanted = self.knobs.compress_answers and "gzip" in (request.header("accept-encoding") or "")
        if not wanted or "Content-Encoding" in headers or headers.get("Content-Type") != JSON_TYPE:
            return replace(response, headers=headers)
        headers["Content-Encoding"] = "gzip"
        return replace(response, headers=headers, body=zlib.compress(response.body, wbits=31))


def _outcome(disruption: Disruption) -> str:
    return "hang" if disruption.hang else disruption.cut and "cut"


def _without_cursor(request: Request) -> Request:
    kept = [part for part in request.query.split("&") if not part.startswith(("after_id=", "id_gt="))]
    return replace(request, query="&".join(kept))
