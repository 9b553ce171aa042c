"""What an app's `input_spec` lets through, what it refuses, and what is left to Toloka."""

from typing import Any

import pytest

from daemon.flows.records.spec import InputSpec


def code(rule: dict[str, Any], value: Any) -> str | None:
    """What is wrong with a value under a rule."""
    flaw = InputSpec({"field": rule}).flaw({"field": value})
    return None if flaw is None else flaw.code


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("boolean", True, None),
        ("boolean", 0, "BOOLEAN_EXPECTED"),
        ("boolean", "true", "BOOLEAN_EXPECTED"),
        ("string", "", None),
        ("string", 1, "STRING_EXPECTED"),
        ("string", ["a"], "STRING_EXPECTED"),
        ("integer", -3, None),
        ("integer", 2**80, None),
        ("integer", 1.0, None),
        ("integer", 1.5, "INTEGER_EXPECTED"),
        ("integer", True, "INTEGER_EXPECTED"),
        ("integer", "1", "INTEGER_EXPECTED"),
        ("float", 1.5, None),
        ("float", 1, None),
        ("float", False, "FLOAT_EXPECTED"),
        ("float", "1.5", "FLOAT_EXPECTED"),
        ("url", "https://example.com", None),
        ("url", 7, "STRING_EXPECTED"),
        ("array_string", ["a", ""], None),
        ("array_string", [], None),
        ("array_string", "a", "ARRAY_EXPECTED"),
        ("array_string", {"a": 1}, "ARRAY_EXPECTED"),
        ("array_string", ["a", 1], "STRING_EXPECTED"),
        ("array_integer", [1, 2.0], None),
        ("array_integer", [1, True], "INTEGER_EXPECTED"),
        ("array_float", [1, 0.5], None),
        ("array_float", [[1]], "FLOAT_EXPECTED"),
        ("array_boolean", [True, "no"], "BOOLEAN_EXPECTED"),
        ("array_url", ["x", 1], "STRING_EXPECTED"),
        ("array_json", "x", "ARRAY_EXPECTED"),
    ],
)
def test_a_value_of_another_type_is_refused(kind: str, value: Any, expected: str | None) -> None:
    """In JSON a boolean is no number, and 1.0 is as good an integer as 1."""
    assert code({"type": kind}, value) == expected


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        ({"type": "string", "min_length": 2}, "a", "STRING_LENGTH_LESS_THAN_MIN"),
        ({"type": "string", "min_length": 2}, "ab", None),
        ({"type": "string", "max_length": 2}, "ab", None),
        ({"type": "string", "max_length": 2}, "abc", "STRING_LENGTH_GREATER_THAN_MAX"),
        ({"type": "integer", "min_value": 0}, -1, "VALUE_LESS_THAN_MIN"),
        ({"type": "integer", "min_value": 0, "max_value": 0}, 0, None),
        ({"type": "integer", "max_value": 9}, 10, "VALUE_GREATER_THAN_MAX"),
        ({"type": "float", "min_value": 0.5}, 0.4, "VALUE_LESS_THAN_MIN"),
        ({"type": "float", "max_value": 0.5}, 0.6, "VALUE_GREATER_THAN_MAX"),
        ({"type": "string", "allowed_values": ["a", "b"]}, "b", None),
        ({"type": "string", "allowed_values": ["a", "b"]}, "c", "VALUE_NOT_ALLOWED"),
        ({"type": "integer", "allowed_values": [1, 2]}, 3, "VALUE_NOT_ALLOWED"),
        ({"type": "boolean", "allowed_values": [True]}, False, "VALUE_NOT_ALLOWED"),
        ({"type": "array_string", "min_size": 1}, [], "ARRAY_SIZE_LESS_THAN_MIN"),
        ({"type": "array_string", "max_size": 1}, ["a", "b"], "ARRAY_SIZE_GREATER_THAN_MAX"),
        ({"type": "array_string", "min_size": 1, "max_size": 2}, ["a", "b"], None),
        ({"type": "array_string", "max_length": 1}, ["a", "bb"], "STRING_LENGTH_GREATER_THAN_MAX"),
        ({"type": "array_integer", "max_value": 1}, [1, 2], "VALUE_GREATER_THAN_MAX"),
        ({"type": "array_string", "allowed_values": ["a"]}, ["a", "b"], "VALUE_NOT_ALLOWED"),
        ({"type": "string", "min_length": None, "max_length": None}, "", None),
        ({"type": "string", "allowed_values": []}, "anything", None),
    ],
)
def test_a_value_outside_its_bounds_is_refused(
    rule: dict[str, Any], value: Any, expected: str | None
) -> None:
    """Bounds are inclusive; those of an array's members hold for each member."""
    assert code(rule, value) == expected


@pytest.mark.parametrize("value", ["not a url", "", "javascript:alert(1)"])
def test_the_syntax_of_a_url_is_left_to_toloka(value: str) -> None:
    """What only Toloka can judge is sent: its refusal names the item as well."""
    assert code({"type": "url"}, value) is None


@pytest.mark.parametrize("kind", ["file", "coordinates", "json", "", "array_file", "tomorrow"])
@pytest.mark.parametrize("value", [["1"], [{}], [[]]])
def test_types_without_a_rule_of_ours_are_left_to_toloka(kind: str, value: Any) -> None:
    """A type that this release does not know refuses nothing."""
    assert code({"type": kind}, value) is None


@pytest.mark.parametrize(
    ("rule", "item", "refused"),
    [
        ({"type": "string"}, {}, True),
        ({"type": "string", "required": True}, {"field": None}, True),
        ({"type": "string", "required": False}, {}, False),
        ({"type": "string", "required": False}, {"field": None}, False),
        ({"type": "string", "required": True, "hidden": True}, {}, False),
        ({"type": "string", "hidden": True}, {}, False),
        ({"type": "string"}, {"field": ""}, False),
    ],
)
def test_a_required_value_must_be_there_unless_it_is_hidden(
    rule: dict[str, Any], item: dict[str, Any], *, refused: bool
) -> None:
    """Required is the default, null counts as absent, and Toloka fills hidden fields in."""
    flaw = InputSpec({"field": rule}).flaw(item)
    assert (flaw is not None and flaw.code == "VALUE_REQUIRED") is refused


def test_fields_that_the_spec_does_not_name_are_left_to_toloka() -> None:
    """Whether a further field is allowed is not ours to say."""
    assert InputSpec({"text": {"type": "string"}}).flaw({"text": "x", "more": 1}) is None


def test_the_flaw_names_its_field() -> None:
    """The sentence is for whoever reads the dead letter."""
    flaw = InputSpec({"text": {"type": "string", "max_length": 3}}).flaw({"text": "long"})
    assert flaw is not None
    assert flaw.message == "text: above 3"


@pytest.mark.parametrize(
    ("fields", "takes"),
    [
        ({"id": {"type": "string", "required": False}}, True),
        ({"id": {"type": "integer"}}, False),
        ({"text": {"type": "string"}}, False),
        ({}, False),
    ],
)
def test_only_an_id_of_text_takes_ours(fields: dict[str, Any], *, takes: bool) -> None:
    """`<topic>-<partition>-<offset>` is a string."""
    assert InputSpec(fields).takes_id is takes


def test_only_what_is_certainly_too_short_is_refused() -> None:
    """Three emoji are six UTF-16 units: a server that counts so takes them, and ours must not decide."""
    assert code({"type": "string", "min_length": 5}, "😀😀😀") is None
