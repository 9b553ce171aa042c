"""The errors of the App API: status, code, message and payload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

STOCK_CODES = {
    400: "VALIDATION_ERROR",
    401: "AUTHENTICATION_ERROR",
    403: "ACCESS_DENIED",
    404: "DOES_NOT_EXIST",
    405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT_STATE",
    413: "ENTITY_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "TOO_MANY_REQUESTS",
    500: "INTERNAL_ERROR",
    502: "REMOTE_SERVICE_UNAVAILABLE",
    503: "REMOTE_SERVICE_UNAVAILABLE",
    504: "REMOTE_SERVICE_UNAVAILABLE",
}
STOCK_MESSAGES = {
    400: "Validation failed",
    401: "Authentication failed",
    403: "Access denied",
    404: "Object does not exist",
    405: "Method is not supported",
    409: "Object is in an unsuitable state",
    413: "Request entity is too large",
    415: "Content type is not supported",
    429: "Too many requests",
    500: "Internal error",
    502: "Remote service is unavailable",
    503: "Remote service is unavailable",
    504: "Remote service is unavailable",
}
FIELD_MESSAGES = {
    "VALUE_REQUIRED": "Value must be present and not equal to null",
    "INVALID_URL_SYNTAX": "Value must be in valid url format",
    "VALUE_NOT_ALLOWED": "Value is not allowed",
}


class ApiError(Exception):
    """A request that Toloka refuses.

    Attributes:
        status: the HTTP status.
        code: Toloka's code.
        message: Toloka's message.
        payload: field names to {code, message}, or any other detail; None where there is none.
        headers: headers beside the usual ones.
    """

    def __init__(
        self,
        status: int,
        code: str = "",
        message: str = "",
        payload: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, code)
        self.status = status
        self.code = code or STOCK_CODES[status]
        self.message = message or STOCK_MESSAGES[status]
        self.payload = payload
        self.headers = headers or {}

    def body(self, request_id: str) -> dict[str, Any]:
        """Return the error's JSON object."""
        head = {"request_id": request_id, "code": self.code, "message": self.message}
        return head if self.payload is None else {**head, "payload": self.payload}


def field_error(code: str) -> dict[str, str]:
    """Return one entry of a VALIDATION_ERROR's payload."""
    return {"code": code, "message": FIELD_MESSAGES.get(code, code.replace("_", " ").capitalize())}


def invalid(**fields: str) -> ApiError:
    """Return a 400 that names each field with its code."""
    return ApiError(400, payload={name: field_error(code) for name, code in fields.items()})


def missing(what: str, name: str) -> ApiError:
    """Return the 404 of an object that is not there."""
    return ApiError(404, message=f"{what} {name!r} does not exist")
