"""One request on its way: how far it has come, and what it means when it goes no further."""

import errno
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import anyio
import httpx

from daemon.edges.toloka.bodies import TooLargeError, UnreadableError, Upload
from daemon.errors import Transient

WHY_LETTERS = 200

_SUCCESS = range(200, 300)
_SAYS_NO = range(400, 500)
_SERVER_ERRORS = 500
_OUTCOMES = {
    400: "rejected",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    429: "throttled",
}

# Whatever the client lets through: its own errors, and those of the layers below it.
FAILURES = (
    httpx.HTTPError,
    httpx.StreamError,
    UnreadableError,
    OSError,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
)
# What httpx raises before the first byte of a request.
_BEFORE_SENDING = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class LineError(Transient):
    """A request that got no answer.

    Args:
        outcome: as in `daemon.metrics.REQUEST_OUTCOMES`.
        why: a sentence for the operator.
        is_too_large: an answer was there, and more than can be taken in.
    """

    def __init__(self, outcome: str, why: str, *, is_too_large: bool = False) -> None:
        super().__init__(why)
        self.outcome = outcome
        self.is_too_large = is_too_large


class NotSent(LineError):  # noqa: N818 - reads as what happened
    """A definite no: the server cannot have got the whole request."""


class Unclear(LineError):  # noqa: N818 - reads as what happened
    """The whole request may have been sent; nobody knows what became of it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What Toloka answered.

    Attributes:
        status: the HTTP status.
        headers: names in lower case.
        body: decompressed. Empty where the server answered before it had the whole request and then cut the
            connection: what the status says is all there is.
        seconds: from sending to the answer's end.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    seconds: float

    @property
    def succeeded(self) -> bool:
        """2xx."""
        return self.status in _SUCCESS


class Sending:
    """How far one request has come."""

    def __init__(self, request: httpx.Request, may_connect: bool, upload: Upload | None = None) -> None:  # noqa: FBT001
        self.request = request
        self.may_connect = may_connect
        self._upload = upload
        self._head: httpx.Response | None = None

    def answered(self, response: httpx.Response) -> None:
        """An answer's head has come."""
        self._head = response

    @property
    def unfinished(self) -> bool:
        """Whether a part of the body was certainly not sent."""
        return self._upload is not None and not self._upload.finished

    def came_to(self, error: Exception, seconds: float) -> Answer | LineError:
        """What it means that this went wrong."""
        if self.unfinished and self._head is not None:
            return self.answered_early(Answer(self._head.status_code, dict(self._head.headers), b"", seconds))
        outcome = "connection"
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            outcome = "timeout"
        elif isinstance(error, UnreadableError):
            outcome = "unreadable"
        definite = self.unfinished or isinstance(error, _BEFORE_SENDING)
        is_too_large = isinstance(error, TooLargeError)
        return (NotSent if definite else Unclear)(outcome, _why(error), is_too_large=is_too_large)

    def answered_early(self, answer: Answer) -> Answer | LineError:
        """An answer to a part of the request; a clear no counts, for nothing can have been carried out."""
        if answer.status in _SAYS_NO and answer.status != HTTPStatus.REQUEST_TIMEOUT:
            return answer
        why = f"answered {answer.status} before the whole request was sent"
        # A server that claims success for what it cannot have read is not to be believed either way.
        if answer.succeeded:
            return Unclear("unreadable", why)
        return NotSent(outcome_of(answer.status), why)


def outcome_of(status: int) -> str:
    """The label of `tolokad_toloka_requests_total` for an answer's status."""
    if status in _SUCCESS:
        return "success"
    return _OUTCOMES.get(status, "server_error" if status >= _SERVER_ERRORS else "refused")


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError) and error.errno is None:
        return "no answer in time"
    said = _certificate_error(error) or _system_error(error) or error
    text = f"{type(error).__name__}: {said}"[:WHY_LETTERS]
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _certificate_error(error: BaseException | None) -> str | None:
    """Why a certificate was not accepted (CERTIFICATE_VERIFY_FAILED), and what can be done on our side."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            why = error.verify_message.rstrip(".")
            return f"{error.reason}: {why}; an authority of your own is named by TOLOKAD_TOLOKA__CA_FILE"
        error = error.__cause__ or error.__context__
    return None


def _system_error(error: BaseException | None) -> str | None:
    """What the system said below the layers that wrap it, such as `Connection refused`."""
    while error is not None:
        # An error of TLS is an OSError with a number that is none of the system's.
        if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
            number = error.errno
            if number is not None and number in errno.errorcode:
                return os.strerror(number)
        error = error.__cause__ or error.__context__
    return None
