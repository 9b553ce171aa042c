"""Checking items by an app's input_spec, and inventing labels by its output_spec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from tests.simulator.errors import field_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.simulator.world import App, Spec

FieldErrors = dict[str, dict[str, str]]


def item_errors(item: Any, spec: Spec, *, unknown_allowed: bool) -> FieldErrors:
    """Return what is wrong with one item: field to {code, message}; a field "" stands for the item itself."""
    if not isinstance(item, dict):
        return {"": field_error("OBJECT_EXPECTED")}
    codes = {name: _field_code(item.get(name), rule) for name, rule in spec.items()}
    if not unknown_allowed:
        codes.update(dict.fromkeys(item.keys() - spec.keys(), "VALUE_NOT_ALLOWED"))
    return {name: field_error(code) for name, code in codes.items() if code}


def _field_code(value: Any, rule: Mapping[str, Any]) -> str:
    if value is None:
        return "VALUE_REQUIRED" if rule["required"] else ""
    kind = rule["type"]
    if kind.startswith("array_"):
        return _array_code(value, rule)
    return _value_code(value, rule, kind)


def _array_code(value: Any, rule: Mapping[str, Any]) -> str:
    if not isinstance(value, list):
        return "ARRAY_EXPECTED"
    size = _bounds_code(len(value), rule, "size", "ARRAY_SIZE")
    kind = rule["type"].removeprefix("array_")
    return size or next((code for each in value if (code := _value_code(each, rule, kind))), "")


def _value_code(value: Any, rule: Mapping[str, Any], kind: str) -> str:
    code = CHECKS[kind](value, rule)
    allowed = rule.get("allowed_values")
    return "VALUE_NOT_ALLOWED" if not code and allowed is not None and value not in allowed else code


def _bounds_code(value: float, rule: Mapping[str, Any], what: str, prefix: str) -> str:
    if value < rule.get(f"min_{what}", value):
        return f"{prefix}_LESS_THAN_MIN"
    return f"{prefix}_GREATER_THAN_MAX" if value > rule.get(f"max_{what}", value) else ""


def _string(value: Any, rule: Mapping[str, Any]) -> str:
    if not isinstance(value, str):
        return "STRING_EXPECTED"
    return _bounds_code(len(value), rule, "length", "STRING_LENGTH")


def _boolean(value: Any, _rule: Mapping[str, Any]) -> str:
    return "" if isinstance(value, bool) else "BOOLEAN_EXPECTED"


def _integer(value: Any, rule: Mapping[str, Any]) -> str:
    if not isinstance(value, int) or isinstance(value, bool):
        return "INTEGER_EXPECTED"
    return _bounds_code(value, rule, "value", "VALUE")


def _float(value: Any, rule: Mapping[str, Any]) -> str:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return "FLOAT_EXPECTED"
    return _bounds_code(value, rule, "value", "VALUE")


def _url(value: Any, _rule: Mapping[str, Any]) -> str:
    if not isinstance(value, str):
        return "STRING_EXPECTED"
    try:
        parts = urlsplit(value)
    except ValueError:
        return "INVALID_URL_SYNTAX"
    good = parts.scheme in {"http", "https"} and parts.netloc and not any(map(str.isspace, value))
    return "" if good else "INVALID_URL_SYNTAX"


def _coordinates(value: Any, _rule: Mapping[str, Any]) -> str:
    if not isinstance(value, str):
        return "STRING_EXPECTED"
    try:
        latitude, longitude = map(float, value.split(","))
    except ValueError:
        return "INVALID_COORDINATES_SYNTAX"
    good = abs(latitude) <= 90 and abs(longitude) <= 180
    return "" if good else "INVALID_COORDINATES_SYNTAX"


def _json(_value: Any, _rule: Mapping[str, Any]) -> str:
    return ""


def _file(_value: Any, _rule: Mapping[str, Any]) -> str:
    return "VALUE_NOT_ALLOWED"


CHECKS: Mapping[str, Callable[[Any, Mapping[str, Any]], str]] = {
    "string": _string,
    "boolean": _boolean,
    "integer": _integer,
    "float": _float,
    "url": _url,
    "coordinates": _coordinates,
    "json": _json,
    "file": _file,
}
SAMPLES: Mapping[str, Any] = {
    "string": "text",
    "boolean": True,
    "integer": 3,
    "float": 0.5,
    "url": "https://example.com/a",
    "coordinates": "55.75,37.61",
    "json": {"any": [1, 2]},
    "file": "file-1",
}


def output_data(app: App, input_data: Mapping[str, Any], label: float) -> dict[str, Any]:
    """Return the labels of a completed item: the input's fields but `id`, then the outputs.

    Args:
        app: whose output_spec it follows.
        input_data: what was labelled.
        label: from 0 to 1; decides every value, so that a duplicate gets the same labels.
    """
    repeated = {name: value for name, value in input_data.items() if name != "id"}
    return repeated | {name: _label(name, rule, label) for name, rule in app.output_spec.items()}


def _label(name: str, rule: Mapping[str, Any], label: float) -> Any:
    if name == "confidence":
        return round(label, 10)
    kind = rule["type"].removeprefix("array_")
    choices = rule.get("allowed_values") or [SAMPLES[kind]]
    value = choices[int(label * len(choices)) % len(choices)]
    return [value] if rule["type"].startswith("array_") else value


def content_key(input_data: Mapping[str, Any], *, with_id: bool) -> bytes:
    """Return what two duplicates have in common."""
    kept = input_data if with_id else {name: value for name, value in input_data.items() if name != "id"}
    return msgspec.json.encode(kept, order="sorted")
