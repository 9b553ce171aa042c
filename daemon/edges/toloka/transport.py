"""One connection to Toloka, and the one question that matters when it fails: was the request sent?"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Self

import structlog

from daemon.edges.toloka.bodies import Upload, read
from daemon.edges.toloka.connection import ColdError, Connection
from daemon.edges.toloka.endpoint import Endpoint, header_value
from daemon.edges.toloka.sending import FAILURES, Answer, LineError, NotSent, Sending, Unclear, outcome_of
from daemon.errors import ConfigurationError
from daemon.metrics import Metrics
from daemon.model import Deadline

# A connection that was used this lately is taken to be good; servers keep idle ones for longer.
WARM_SECONDS = 2.0
ANSWER_SECONDS = 10.0
# Answers that go on contradicting each other as to the time are not waited for.
TIME_TRIES = 3

_CREDENTIAL_REFUSED = frozenset({401, 403})
# A gateway in front of Toloka says so, by a clock of its own.
_FROM_A_GATEWAY = frozenset({502, 503, 504})

log = structlog.get_logger(__name__)


class _StaleError(Exception):
    """An attempt grew too old before its last byte was sent."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A cheap question that shows whether Toloka is there: the operation's name and its path."""

    operation: str
    path: str


class Line:
    """One connection to Toloka; one request at a time.

    The probe is asked to open the connection, or to see that it is still good.

    Raises:
        ConfigurationError: there is no usable credential.
    """

    def __init__(self, endpoint: Endpoint, probe: Probe) -> None:
        self._endpoint = endpoint
        self._probe = probe
        self._authorization = header_value(endpoint.authorization())
        self._refused = False
        self._turn = asyncio.Lock()
        self._connection = Connection(endpoint)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def warm(self) -> Answer | None:
        """See that there is a connection that works; what the probe was answered, None if it was not needed.

        Raises:
            NotSent, Unclear: there is none.
        """
        if self._connection.is_open and self._connection.idle_seconds < WARM_SECONDS:
            return None
        return await self.request(self._probe.operation, "GET", self._probe.path)

    async def agree_on_time(self) -> None:
        """Ask the probe again until two answers agree as to the time."""
        for _ in range(TIME_TRIES):
            if not self._endpoint.toloka_clock.is_unsure:
                return
            with suppress(LineError):
                await self.request(self._probe.operation, "GET", self._probe.path)

    async def request(
        self,
        operation: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        timeout_seconds: float = ANSWER_SECONDS,
    ) -> Answer:
        """Ask something that may be asked twice.

        A server may close an idle connection just when it is used: then it is asked once more, over another.

        Args:
            operation: as in `daemon.metrics.OPERATIONS`.
            method: without a body, GET.
            path: as `daemon.edges.toloka.endpoint.path` makes it.
            query: text by name; it is percent-encoded here.
            timeout_seconds: for each of the two tries as a whole.

        Raises:
            NotSent, Unclear: no answer.
        """
        async with self._turn:
            reused = self._connection.is_open
            try:
                return await self._ask(operation, method, path, query, timeout_seconds)
            except Unclear as error:
                if not reused or error.outcome != "connection":
                    raise
            return await self._ask(operation, method, path, query, timeout_seconds)

    async def post(
        self, operation: str, path: str, body: bytes, deadline: Deadline, fresh_seconds: float
    ) -> Answer:
        """Send something that must not be carried out twice, once, over a connection that is open already.

        The last byte is held back until everything else has gone out; then the attempt's age is checked
        again, by the clock that has moved further. A connection that turns out to be gone is replaced while
        nothing of the request has been sent.

        Args:
            operation: as in `daemon.metrics.OPERATIONS`.
            path: as `daemon.edges.toloka.endpoint.path` makes it.
            body: JSON, at least one byte.
            deadline: when the attempt is over, waiting for the answer included.
            fresh_seconds: the last byte goes out at this age at most.

        Raises:
            NotSent: a definite no, an attempt that has grown too old included.
            Unclear: in doubt.
        """
        async with self._turn:
            check = partial(self._insist_fresh, deadline, fresh_seconds)
            with suppress(ColdError):
                return await self._send(
                    operation, path, Upload(body, check, self._connection.interrupted), deadline
                )
            await self._connect_again(deadline)
            # A server that closes after every answer leaves no other way than to connect now.
            upload = Upload(body, check, self._connection.interrupted)
            return await self._send(operation, path, upload, deadline, may_connect=True)

    @property
    def metrics(self) -> Metrics:
        """Where its requests are counted."""
        return self._endpoint.metrics

    def unreadable(self, operation: str) -> None:
        """Count an answer that came, and was counted as it came, but did not say what was asked."""
        self.metrics.toloka_requests.labels(operation, "unreadable").inc()

    # --- one request ---------------------------------------------------------------------------------------

    async def _ask(
        self, operation: str, method: str, path: str, query: Mapping[str, str] | None, seconds: float
    ) -> Answer:
        request = self._connection.request(method, path, self._credential(), query)
        return await self._observed(operation, Sending(request, may_connect=True), seconds)

    async def _connect_again(self, deadline: Deadline) -> None:
        seconds = min(self._left(deadline), ANSWER_SECONDS)
        try:
            await self._ask(self._probe.operation, "GET", self._probe.path, None, seconds)
        except LineError as error:
            why, outcome = str(error), error.outcome
        else:
            return
        raise NotSent(outcome, f"the connection was gone, and no new one works: {why}")

    async def _send(
        self, operation: str, path: str, upload: Upload, deadline: Deadline, *, may_connect: bool = False
    ) -> Answer:
        seconds = self._left(deadline)
        if seconds <= 0:
            raise NotSent("timeout", "stale: the attempt's time was over before it was sent")
        headers = {"Content-Type": "application/json", "Content-Length": str(upload.size)}
        request = self._connection.request("POST", path, {**headers, **self._credential()}, None)
        request.stream = upload
        return await self._observed(operation, Sending(request, may_connect, upload), seconds)

    async def _observed(self, operation: str, sending: Sending, seconds: float) -> Answer:
        try:
            answer = await self._attempt(sending, seconds)
        except LineError as error:
            self.metrics.toloka_requests.labels(operation, error.outcome).inc()
            raise
        self.metrics.toloka_requests.labels(operation, outcome_of(answer.status)).inc()
        self.metrics.toloka_request_seconds.labels(operation).observe(answer.seconds)
        return answer

    async def _attempt(self, sending: Sending, seconds: float) -> Answer:
        began = self._endpoint.clock.elapsed()
        try:
            async with self._connection.discarded_on_failure(), asyncio.timeout(seconds):
                answer = await self._exchange(sending, began)
        except FAILURES as error:
            result = sending.came_to(error, self._endpoint.clock.elapsed() - began)
        except _StaleError:
            result = NotSent("timeout", "stale: the attempt grew too old before its last byte was sent")
        else:
            result = await self._complete(answer, sending)
        # Raised here, an error has no context that would hold the request and its credential.
        if isinstance(result, LineError):
            raise result
        return result

    async def _exchange(self, sending: Sending, began: float) -> Answer:
        clock = self._endpoint.clock
        response = await self._connection.send(sending.request, may_connect=sending.may_connect)
        sending.answered(response)
        self._refused = response.status_code in _CREDENTIAL_REFUSED
        if response.status_code not in _FROM_A_GATEWAY:
            self._endpoint.toloka_clock.hear(response.headers.get("date"), clock.elapsed() - began)
        try:
            body = await read(response)
        finally:
            await response.aclose()
            # An answer and its stream hold each other and the request's body: garbage, if they are left so.
            del response.stream
        body = self._without_credential(body) if response.is_error else body
        return Answer(response.status_code, dict(response.headers), body, clock.elapsed() - began)

    def _without_credential(self, body: bytes) -> bytes:
        """A refusal may repeat what it refuses, and its words become a dead letter's."""
        credential = self._authorization.split(" ", 1)[-1].encode()
        return body.replace(credential, b"********")

    async def _complete(self, answer: Answer, sending: Sending) -> Answer | LineError:
        if sending.unfinished:
            # The server answered early: what is left of this connection is of no use.
            await self._connection.renew()
            return sending.answered_early(answer)
        if self._connection.has_leftovers:
            await self._connection.renew()
        else:
            self._connection.proved()
        return answer

    # --- what a request asks on its way -------------------------------------------------------------------

    def _credential(self) -> dict[str, str]:
        """The header as it was accepted; read again once it was refused, for it may have been rotated."""
        if self._refused:
            try:
                self._authorization = header_value(self._endpoint.authorization())
            except (ConfigurationError, ValueError) as error:
                log.warning("credential_unusable", detail=str(error))
        return {"Authorization": self._authorization}

    def _left(self, deadline: Deadline) -> float:
        clock = self._endpoint.clock
        return deadline.left(clock.elapsed(), clock.wall())

    def _insist_fresh(self, deadline: Deadline, fresh_seconds: float) -> None:
        left = self._left(deadline)
        if left <= 0 or deadline.seconds - left > fresh_seconds:
            raise _StaleError


@asynccontextmanager
async def lines(endpoint: Endpoint, probe: Probe, count: int) -> AsyncIterator[Sequence[Line]]:
    """This many connections to one place; see `Line`."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Line(endpoint, probe)) for _ in range(count)]
