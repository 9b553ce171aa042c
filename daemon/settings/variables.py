"""Every variable there is, read off the sections: its name, its meaning, what it may be."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from inspect import cleandoc, getsource
from itertools import pairwise

import annotated_types
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from daemon.settings.kinds import MASK, Says, Section, Shown, choices_of, without_none
from daemon.settings.root import DELIMITER, PREFIX, Settings


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable and the field that takes it.

    Args:
        section: the field of `Settings` that holds the part, or "" for one of its own.
        part: the class of that part, or `Settings`.
        field: the field's name in that part.
        info: what the library knows about it.
    """

    section: str
    part: type[BaseModel]
    field: str
    info: FieldInfo

    @property
    def name(self) -> str:
        """The full name, such as `TOLOKAD_SUBMIT__MAX_ITEMS`."""
        return PREFIX + DELIMITER.join(self.place).upper()

    @property
    def place(self) -> tuple[str, ...]:
        """The field's place in `Settings`: part and field, or the field alone."""
        return (self.section, self.field) if self.section else (self.field,)

    @property
    def description(self) -> str:
        """The docstring under the field, paragraphs kept."""
        return cleandoc(_docstrings(self.part).get(self.field, ""))

    @property
    def quiet(self) -> bool:
        """Whether an error must not repeat what was given."""
        return any(isinstance(mark, Says) and mark.quiet for mark in self.info.metadata)

    @property
    def rule(self) -> str:
        """What a value must be, as the words after "must be"."""
        for mark in self.info.metadata:
            if isinstance(mark, Says):
                return mark.text
        kind = without_none(self.info.annotation)
        choices = choices_of(kind)
        if choices:
            return "one of " + ", ".join(choices)
        if kind is bool:
            return "true or false"
        return f"a {_NOUNS[kind]}{_bounds(self.info)}"

    @property
    def default(self) -> str:
        """The default as one would write it, or in words where it depends on another variable."""
        # The marks of a nested alias come first, those of the field itself last.
        shown = [mark.default for mark in self.info.metadata if isinstance(mark, Shown)]
        return shown[-1] if shown else written(self.info.default)

    @property
    def default_in_words(self) -> bool:
        """Whether `default` is a description and not a value."""
        return any(isinstance(mark, Shown) for mark in self.info.metadata)

    def value(self, settings: Settings) -> object:
        """The field's value."""
        part = getattr(settings, self.section) if self.section else settings
        return getattr(part, self.field)


@cache
def variables() -> tuple[Variable, ...]:
    """All of them, in the order of the sections."""
    return tuple(_variables())


def written(value: object) -> str:
    """A value as it would stand in the environment; a secret masked, nothing for None."""
    match value:
        case None:
            text = ""
        case bool():
            text = str(value).lower()
        case float() if value.is_integer():
            text = str(int(value))
        case tuple():
            text = ",".join(map(str, value))
        case datetime():
            text = value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case SecretStr():
            text = MASK
        case _:
            text = str(value)
    return text


def _variables() -> Iterator[Variable]:
    for name, info in Settings.model_fields.items():
        part = info.annotation
        if isinstance(part, type) and issubclass(part, Section):
            for field, field_info in part.model_fields.items():
                yield Variable(name, part, field, field_info)
        else:
            yield Variable("", Settings, name, info)


@cache
def _docstrings(part: type[BaseModel]) -> Mapping[str, str]:
    """What stands under each field of a class, from its source.

    The library would read all of it whenever a class is made, for a tenth of a start's time.
    """
    found: dict[str, str] = {}
    for field, text in pairwise(ast.walk(ast.parse(getsource(part)).body[0])):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                found[name] = words
    return found


_NOUNS: Mapping[object, str] = {int: "whole number", float: "number", Decimal: "number"}


def _bounds(info: FieldInfo) -> str:
    low = next((mark.ge for mark in info.metadata if isinstance(mark, annotated_types.Ge)), None)
    above = next((mark.gt for mark in info.metadata if isinstance(mark, annotated_types.Gt)), None)
    high = next((mark.le for mark in info.metadata if isinstance(mark, annotated_types.Le)), None)
    if low is not None:
        return f" of at least {low}" if high is None else f" between {low} and {high}"
    if above is not None:
        return f" above {above}" + ("" if high is None else f" and at most {high}")
    return ""
