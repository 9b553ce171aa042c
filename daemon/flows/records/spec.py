"""Pure: an app's `input_spec` (`GET /apps/{id}`), as checks of an item.

Only what is certainly wrong is refused here; anything that Toloka alone can judge (the syntax of a URL,
say) is left to Toloka, whose refusal names the item just as well.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from daemon.content import kind_of
from daemon.flows.records import shape
from daemon.model import Flaw

Check = Callable[[Any], Flaw | None]

_NUMBER = (int, float)
_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "boolean": ((bool,), "BOOLEAN_EXPECTED"),
    "string": ((str,), "STRING_EXPECTED"),
    "integer": ((int,), "INTEGER_EXPECTED"),
    "float": (_NUMBER, "FLOAT_EXPECTED"),
    "url": ((str,), "STRING_EXPECTED"),
}


class InputSpec:
    """The checks of an `input_spec`: a flat map of field name to `{type, required, hidden, …}`."""

    def __init__(self, fields: Mapping[str, Mapping[str, Any]]) -> None:
        self._fields = tuple(_field(name, rule) for name, rule in fields.items())
        self.shape = shape.shape_of(fields)
        id_field = fields.get("id", {})
        self.takes_id = id_field.get("type") == "string"
        self._of_an_id = tuple(_checks(id_field))

    def takes(self, identity: str) -> bool:
        """Whether an item without an `id` may be given this one: without any it may still be right."""
        return self.takes_id and all(check(identity) is None for check in self._of_an_id)

    def flaw(self, item: Mapping[str, Any]) -> Flaw | None:
        """The first thing that is wrong with an item; None where nothing is."""
        get = item.get
        for name, enough, is_required, checks in self._fields:
            value = get(name)
            if type(value) is enough:
                continue
            if value is None:
                if is_required:
                    return Flaw("VALUE_REQUIRED", f"{name}: the value must be present and not null")
                continue
            for check in checks:
                if (found := check(value)) is not None:
                    return Flaw(found.code, f"{name}: {found.message}")
        return None


def _field(name: str, rule: Mapping[str, Any]) -> tuple[str, type | None, bool, tuple[Check, ...]]:
    """A field's name, the type whose values are all right, whether there must be a value, and its checks."""
    checks = tuple(_checks(rule))
    kinds, _ = _TYPES.get(str(rule.get("type", "")), ((), ""))
    # Only where nothing but a type is asked for.
    enough = kinds[0] if len(checks) == 1 and kinds else None
    return name, enough, shape.is_required(rule), checks


def _checks(rule: Mapping[str, Any]) -> Iterable[Check]:
    kind = str(rule.get("type", ""))
    if kind.startswith("array_"):
        yield _each(tuple(_scalar_checks(kind.removeprefix("array_"), rule)))
        yield from _bounds(len, rule, ("min_size", "max_size"), "ARRAY_SIZE")
    else:
        yield from _scalar_checks(kind, rule)


def _scalar_checks(kind: str, rule: Mapping[str, Any]) -> Iterable[Check]:
    if kind in _TYPES:
        types, code = _TYPES[kind]
        yield _of_type(types, code, kind)
    if kind == "string":
        # A server may count code points or UTF-16 units: too short is what is too short either way.
        yield from _bounds(_utf16_units, rule, ("min_length", ""), "STRING_LENGTH")
        yield from _bounds(len, rule, ("", "max_length"), "STRING_LENGTH")
    if kind in ("integer", "float"):
        yield from _bounds(lambda value: value, rule, ("min_value", "max_value"), "VALUE")
    if allowed := rule.get("allowed_values"):
        yield _one_of(tuple(allowed))


def _utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _of_type(types: tuple[type, ...], code: str, kind: str) -> Check:
    def check(value: Any) -> Flaw | None:
        # In Python a bool is an int; in JSON it is not. 1.0 is as good an integer as 1.
        if isinstance(value, types) and (not isinstance(value, bool) or bool in types):
            return None
        if kind == "integer" and isinstance(value, float) and value.is_integer():
            return None
        return Flaw(code, f"a value of type {kind} is wanted, not {kind_of(value)}")

    return check


def _bounds(
    measure: Callable[[Any], float], rule: Mapping[str, Any], names: tuple[str, str], code: str
) -> Iterable[Check]:
    low, high = (rule.get(name) for name in names)
    if isinstance(low, _NUMBER):
        yield lambda value: Flaw(f"{code}_LESS_THAN_MIN", f"below {low}") if measure(value) < low else None
    if isinstance(high, _NUMBER):
        yield (
            lambda value: Flaw(f"{code}_GREATER_THAN_MAX", f"above {high}") if measure(value) > high else None
        )


def _one_of(allowed: tuple[Any, ...]) -> Check:
    return lambda value: (
        None if value in allowed else Flaw("VALUE_NOT_ALLOWED", "not one of the allowed values")
    )


def _each(checks: tuple[Check, ...]) -> Check:
    def check(value: Any) -> Flaw | None:
        if not isinstance(value, list):
            return Flaw("ARRAY_EXPECTED", f"an array is wanted, not {kind_of(value)}")
        return next((found for member in value for c in checks if (found := c(member)) is not None), None)

    return check
