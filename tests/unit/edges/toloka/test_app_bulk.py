"""A bulk request: its body, and every answer's one meaning."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest

from daemon.edges.toloka.app_bulk import body_of, outcome
from daemon.edges.toloka.sending import Answer
from daemon.model import Accepted, Flaw, InDoubt, Item, NotNow, Outcome, Record, Rejected, TooLarge

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
REQUEST_ID = "6f9b3c1e-2d4a-4f60-9b1a-0c5d8e7f1234"


def came_to(
    status: int, body: object = b"", count: int = 2, headers: Mapping[str, str] | None = None
) -> Outcome:
    """What an answer comes to; a body that is no bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return outcome(Answer(status, headers or {}, raw, 0.1), count, NOW)


def error(code: str, message: str = "Because", payload: Any = None) -> dict[str, Any]:
    """An error's body."""
    members = {"request_id": REQUEST_ID, "code": code, "message": message}
    return members if payload is None else {**members, "payload": payload}


# --- the body --------------------------------------------------------------------------------------------


def test_items_are_spliced_in_as_they_are() -> None:
    """No byte of an item is written anew."""
    bodies = [b'{"id": "1",  "x":1.0}', b'{"text":"\\u00e9"}']
    items = [Item(cast("Record", None), body, 0) for body in bodies]
    assert body_of(items, force_new_original=False) == b'{"items":[' + b",".join(bodies) + b"]}"
    forced = msgspec.json.decode(body_of(items, force_new_original=True))
    assert forced == {"items": [{"id": "1", "x": 1.0}, {"text": "é"}], "force_new_original": True}


# --- success ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_one_distinct_id_per_item_is_a_clear_success(status: int) -> None:
    """Any 2xx will do; the ids are taken in order."""
    assert came_to(status, ["b", "a"]) == Accepted(("b", "a"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b'["a","b"',
        b"\xff\xfe",
        b'["a","b"] trailing',
        b"[" * 100_000,
        None,
        {},
        {"ids": ["a", "b"]},
        "ab",
        [],
        ["a"],
        ["a", "b", "c"],
        ["a", "a"],
        ["a", ""],
        ["a", None],
        ["a", 1],
        [["a"], ["b"]],
    ],
)
def test_any_other_success_is_in_doubt(body: object) -> None:
    """What does not name each item once may have created anything."""
    assert isinstance(came_to(200, body), InDoubt)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 599, 301, 302, 307, 308])
@pytest.mark.parametrize("body", [b"", b"<html>nginx</html>", b'{"code":"X"}', b'["a","b"]'])
def test_failures_of_the_server_are_in_doubt(status: int, body: bytes) -> None:
    """A server that fails, or points elsewhere, may have carried the request out."""
    found = came_to(status, body)
    assert isinstance(found, InDoubt)
    assert str(status) in found.why


def test_a_redirect_says_so() -> None:
    """The operator reads that redirects are refused, for the URL may be mistyped."""
    assert came_to(302) == InDoubt("answered 302: redirects are refused")


# --- rejection -------------------------------------------------------------------------------------------


def test_culprits_are_named_by_index() -> None:
    """The payload's keys name items and fields; the body says `items`, so that is taken, too."""
    payload = {
        "input_data.0.text": {"code": "VALUE_REQUIRED", "message": "must be present"},
        "items.2.image.url": {"code": "INVALID_URL_SYNTAX", "message": "no URL"},
    }
    found = came_to(400, error("VALIDATION_ERROR", "Validation failed", payload), 3)
    assert found == Rejected(
        {
            0: Flaw("VALUE_REQUIRED", "text: must be present", REQUEST_ID),
            2: Flaw("INVALID_URL_SYNTAX", "image.url: no URL", REQUEST_ID),
        },
        Flaw("VALIDATION_ERROR", "Validation failed", REQUEST_ID),
    )


def test_of_several_flaws_the_first_is_told() -> None:
    """One item, one dead letter."""
    payload = {"input_data.1.a": {"code": "A", "message": "a"}, "input_data.1.b": {"code": "B"}}
    found = came_to(400, error("VALIDATION_ERROR", payload=payload))
    assert isinstance(found, Rejected)
    assert found.culprits == {1: Flaw("A", "a: a", REQUEST_ID)}


@pytest.mark.parametrize(
    "key",
    [
        "input_data.2.text",
        "input_data.99999999999.text",
        "input_data.-1.text",
        "input_data.1x.text",
        "input_data.٣.text",
        "input_data",
        "input_data.",
        "text",
        "xinput_data.1.text",
        "",
    ],
)
def test_keys_that_name_no_item_of_ours_are_ignored(key: str) -> None:
    """What does not point into the request accuses nobody."""
    found = came_to(400, error("VALIDATION_ERROR", payload={key: {"code": "A", "message": "a"}}))
    assert found == Rejected({}, Flaw("VALIDATION_ERROR", "Because", REQUEST_ID))


@pytest.mark.parametrize("value", [None, "text", 7, [], {}, {"code": 7, "message": None}])
def test_a_culprit_without_words_takes_the_whole_answers(value: object) -> None:
    """An item is accused even where the reason is missing."""
    found = came_to(400, error("VALIDATION_ERROR", payload={"input_data.1.text": value}))
    assert isinstance(found, Rejected)
    assert found.culprits == {1: Flaw("VALIDATION_ERROR", "text: Because", REQUEST_ID)}


def test_a_whole_item_may_be_accused() -> None:
    """A key without a field names the item itself."""
    found = came_to(400, error("VALIDATION_ERROR", payload={"input_data.1": {"code": "A", "message": "a"}}))
    assert isinstance(found, Rejected)
    assert found.culprits == {1: Flaw("A", "a", REQUEST_ID)}


@pytest.mark.parametrize("body", [b"", b"<html>Bad request</html>", b"[]", b"null", b'{"payload":[]}'])
def test_a_rejection_that_says_nothing(body: bytes) -> None:
    """A gateway that dislikes an item says 400, too: the batch is to be halved until the item is found."""
    assert came_to(400, body) == Rejected({}, Flaw("HTTP_400", "Toloka answered 400", None))


def test_words_from_outside_are_cut_and_cleaned() -> None:
    """Whatever an error says, it becomes one short printable line."""
    body = error("C\r\nX" * 200, "m\x00\x1b[31m\n" + "é" * 1000)
    found = came_to(400, body)
    assert isinstance(found, Rejected)
    assert found.flaw.code.isprintable()
    assert found.flaw.message.isprintable()
    assert (len(found.flaw.code), len(found.flaw.message)) == (100, 300)


@pytest.mark.parametrize(
    ("body", "code"), [(error("ENTITY_TOO_LARGE"), "ENTITY_TOO_LARGE"), (b"<html>", "ENTITY_TOO_LARGE")]
)
def test_too_large(body: object, code: str) -> None:
    """413 is about the size, whoever says it."""
    found = came_to(413, body)
    assert isinstance(found, TooLarge)
    assert found.flaw.code == code


# --- not the items' fault ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (401, "AUTHENTICATION_ERROR", "unauthorized"),
        (403, "ACCESS_DENIED", "forbidden"),
        (404, "DOES_NOT_EXIST", "not_found"),
        (409, "CONFLICT_STATE", "conflict"),
        (409, "POOL_LOCKED_BY_ANOTHER_OPERATION", "conflict"),
        (409, "NOT_ENOUGH_BALANCE", "conflict"),
        (400, "NOT_ENOUGH_BALANCE", "conflict"),
        (400, "PROJECT_INAPPROPRIATE_STATUS", "conflict"),
        (429, "TOO_MANY_REQUESTS", "throttled"),
        (405, "METHOD_NOT_ALLOWED", "refused"),
        (406, "NOT_ACCEPTABLE", "refused"),
        (415, "UNSUPPORTED_MEDIA_TYPE", "refused"),
        (422, "", "refused"),
        (418, "", "refused"),
    ],
)
def test_holds(status: int, code: str, reason: str) -> None:
    """A no that is not about the items holds them, and tells the operator what Toloka said."""
    found = came_to(status, error(code, "Some words"))
    assert isinstance(found, NotNow)
    assert found.reason == reason
    assert found.detail == f"submitting items: Toloka answered {status} {code} Some words".replace("  ", " ")
    # A detail that changed with each request would look like a new hold each time.
    assert REQUEST_ID not in found.detail


@pytest.mark.fault(43, 44)
@pytest.mark.parametrize(
    ("headers", "payload", "seconds"),
    [
        ({"retry-after": "7"}, None, 7.0),
        ({"retry-after": " 7 "}, {"interval": "DAY"}, 7.0),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT"}, None, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 11:00:00 GMT"}, None, 0.0),
        ({"retry-after": "Sun, 22 Nov 2099 12:00:00 GMT"}, None, 86_400.0),
        ({"retry-after": "2.5"}, {"interval": "DAY"}, 2.5),
        ({"retry-after": "999999999"}, None, 86_400.0),
        ({"retry-after": "9" * 6000}, None, None),
        ({"retry-after": "-5"}, None, None),
        ({"retry-after": "soon"}, {"interval": "MIN"}, 60.0),
        ({}, {"interval": "MIN"}, 60.0),
        ({}, {"interval": "HOUR"}, 3600.0),
        ({}, {"interval": "DAY"}, 86_400.0),
        ({}, {"interval": "YEAR"}, None),
        ({}, {"interval": ["MIN"]}, None),
        ({}, None, None),
    ],
)
def test_how_long_to_wait(headers: Mapping[str, str], payload: object, seconds: float | None) -> None:
    """Toloka says how long, in a header or by the quota's interval; nonsense says nothing."""
    found = came_to(429, error("TOO_MANY_REQUESTS", payload=payload), headers=headers)
    assert isinstance(found, NotNow)
    assert found.wait_seconds == seconds
