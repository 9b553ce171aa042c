"""What a fault makes of an answer."""

from __future__ import annotations

import zlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from tests.simulator.errors import ApiError
from tests.simulator.messages import JSON_TYPE, Disruption, Response, empty_response, json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.simulator.faults import Fault

HTML = b"<html><head><title>Error</title></head><body><center><h1>nginx</h1></center></body></html>"
PADDING_BYTES = 1 << 20
NO_ANSWER = empty_response(500)


def spoiled(fault: Fault, response: Response, request_id: str) -> Response:
    """Return what the client gets instead of `response`."""
    return SPOILERS[fault.kind](fault, response, request_id)


def _status(fault: Fault, _response: Response, request_id: str) -> Response:
    headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
    if fault.style == "html":
        return Response(fault.status, {"Content-Type": "text/html", **headers}, HTML)
    if fault.style == "empty":
        return Response(fault.status, headers, b"")
    error = ApiError(fault.status, fault.code, payload=fault.payload)
    return json_response(error.body(request_id), fault.status, headers)


def _redirect(fault: Fault, _response: Response, _request_id: str) -> Response:
    return Response(fault.status if 300 <= fault.status < 400 else 307, {"Location": fault.location}, b"")


def _drop(fault: Fault, _response: Response, _request_id: str) -> Response:
    return replace(NO_ANSWER, disruption=Disruption(cut="before_answer", reset=fault.reset))


def _drop_answer(fault: Fault, response: Response, _request_id: str) -> Response:
    return replace(response, disruption=Disruption(cut="in_answer", reset=fault.reset))


def _hang(_fault: Fault, _response: Response, _request_id: str) -> Response:
    return replace(NO_ANSWER, disruption=Disruption(hang=True))


def _slow(fault: Fault, response: Response, _request_id: str) -> Response:
    delay_seconds = fault.delay_seconds if fault.committed else 0.0
    return replace(response, disruption=Disruption(delay_seconds=delay_seconds))


def _late_commit(fault: Fault, response: Response, request_id: str) -> Response:
    cut = (_hang if fault.hangs else _drop)(fault, response, request_id)
    return replace(cut, disruption=replace(cut.disruption, commits_after_seconds=fault.delay_seconds))


def _truncated(_fault: Fault, response: Response, _request_id: str) -> Response:
    return replace(response, body=response.body[: len(response.body) // 2])


def _wrong_type(_fault: Fault, response: Response, _request_id: str) -> Response:
    value = msgspec.json.decode(response.body) if response.body else None
    if isinstance(value, list):
        return _with_value(response, {"ids": value})
    return _with_value(response, value.get("content", [value]) if isinstance(value, dict) else "OK")


def _ids(change: Callable[[list[Any]], list[Any]], _fault: Fault, response: Response, _id: str) -> Response:
    value = msgspec.json.decode(response.body) if response.body else None
    return _with_value(response, change(value)) if isinstance(value, list) and value else response


def _without_last(ids: list[Any]) -> list[Any]:
    return ids[:-1]


def _with_stranger(ids: list[Any]) -> list[Any]:
    return [*ids, ids[-1][::-1]]


def _with_repetition(ids: list[Any]) -> list[Any]:
    return [*ids[:-1], ids[0]] if len(ids) > 1 else ids * 2


def _duplicate_keys(_fault: Fault, response: Response, _request_id: str) -> Response:
    if not response.body.startswith(b'{"'):
        return response
    key = response.body[1 : response.body.index(b'"', 2) + 1]
    return replace(response, body=b"{" + key + b":null," + response.body[1:])


def _gigantic(fault: Fault, response: Response, _request_id: str) -> Response:
    body = b"[" + b" " * (fault.size_bytes - 2) + b"]"
    return Response(response.status, {"Content-Type": JSON_TYPE}, body, chunked=fault.chunked)


def _bomb(fault: Fault, response: Response, _request_id: str) -> Response:
    headers = {"Content-Type": JSON_TYPE, "Content-Encoding": "gzip"}
    return Response(response.status, headers, _compressed_spaces(fault.size_bytes), chunked=fault.chunked)


def _compressed_spaces(size_bytes: int) -> bytes:
    """Return the gzip of a JSON array full of spaces, made without holding it."""
    gzip = zlib.compressobj(wbits=31)
    parts = [gzip.compress(b"[")]
    parts += [gzip.compress(b" " * PADDING_BYTES) for _ in range(size_bytes // PADDING_BYTES)]
    return b"".join([*parts, gzip.compress(b"]"), gzip.flush()])


def _empty_page(_fault: Fault, response: Response, _request_id: str) -> Response:
    name = "items" if b'"items":' in response.body else "content"
    return _with_value(response, {name: [], "has_more": True})


def _same_page(_fault: Fault, response: Response, _request_id: str) -> Response:
    if response.status != 200:
        return response
    return _with_value(response, {**msgspec.json.decode(response.body), "has_more": True})


def _with_value(response: Response, value: Any) -> Response:
    return replace(response, body=msgspec.json.encode(value))


SPOILERS: Mapping[str, Callable[[Fault, Response, str], Response]] = {
    "status": _status,
    "redirect": _redirect,
    "drop": _drop,
    "drop_request": _drop,
    "drop_answer": _drop_answer,
    "hang": _hang,
    "slow": _slow,
    "late_commit": _late_commit,
    "truncated": _truncated,
    "wrong_type": _wrong_type,
    "missing_id": partial(_ids, _without_last),
    "extra_id": partial(_ids, _with_stranger),
    "repeated_id": partial(_ids, _with_repetition),
    "duplicate_keys": _duplicate_keys,
    "gigantic": _gigantic,
    "bomb": _bomb,
    "empty_page": _empty_page,
    "same_page": _same_page,
}
