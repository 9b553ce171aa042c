"""Real text to moderate: docstrings of the libraries that Python has, or a file of the reader's own."""

import ast
import hashlib
import json
import sysconfig
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from tests.system.feed import Source

ITEMS: Final = 10_000
# Every so many-th item brings an id of its own; tolokad gives one to the others.
OWN_ID_EVERY: Final = 3
WRONG_EVERY: Final = 500
# Debian's Python comes without the library's own tests, and the docstrings of the rest are not enough.
ROOTS: Final = ("stdlib", "purelib")
SKIPPED_FOLDERS: Final = frozenset({"site-packages", "dist-packages", "__pycache__", "lib2to3"})
TEST_FOLDERS: Final = frozenset({"test", "tests"})
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def library_items(count: int = ITEMS) -> Iterator[Source]:
    """So many docstrings: the standard library's, in the order of its files, then what is installed."""
    for number, (module, text) in enumerate(islice(_docstrings(), count)):
        item = {"text": text}
        if number % OWN_ID_EVERY == 0:
            item["id"] = f"doc-{number}"
        yield Source(module.encode(), json.dumps(item, ensure_ascii=False).encode(), _trace(number))


def library_tasks(count: int = ITEMS) -> Iterator[Source]:
    """The same texts as tasks; some are for several workers, and some are not as a task should be."""
    for number, source in enumerate(library_items(count)):
        overlap = 2 if number % OWN_ID_EVERY == 0 else 1
        task: dict[str, Any] = {"input_values": json.loads(source.value or b""), "overlap": overlap}
        if number % WRONG_EVERY == WRONG_EVERY - 1:
            task["input_values"]["image"] = "no address"
        yield source._replace(value=json.dumps(task, ensure_ascii=False).encode())


def items_in(path: Path) -> Iterator[Source]:
    """The lines of a file, each a record's value as it is.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file):
            if value := line.strip():
                yield Source(None, value, _trace(number))


def _trace(number: int) -> tuple[tuple[str, bytes], ...]:
    """A W3C trace context, as a producer that is traced would send it."""
    digest = hashlib.sha256(b"%d" % number).hexdigest()
    return (("traceparent", f"00-{digest[:32]}-{digest[32:48]}-01".encode()),)


def _docstrings() -> Iterator[tuple[str, str]]:
    """Module names with the docstrings of the modules, their classes and functions."""
    for root in ROOTS:
        for path, place in _files(Path(sysconfig.get_path(root))):
            module = ".".join(place.with_suffix("").parts)
            yield from ((module, text) for text in _in_file(path))


def _files(root: Path) -> list[tuple[Path, Path]]:
    """The files below a folder in order, those of tests last: they are large and say little."""
    places = (path.relative_to(root) for path in root.rglob("*.py"))
    kept = [place for place in places if SKIPPED_FOLDERS.isdisjoint(place.parts)]
    kept.sort(key=lambda place: (not TEST_FOLDERS.isdisjoint(place.parts), place))
    return [(root / place, place) for place in kept]


def _in_file(path: Path) -> Iterator[str]:
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        # The library keeps a few files that are wrong on purpose, to test its own compiler with.
        return
    yield from _of(tree)


def _of(node: ast.AST) -> Iterator[str]:
    """The docstring of a definition, then those of the definitions in it."""
    if isinstance(node, DOCUMENTED):
        if (text := ast.get_docstring(node)) and _is_text(text):
            yield text
        for inner in node.body:
            yield from _of(inner)


def _is_text(text: str) -> bool:
    """Whether UTF-8 can hold it: a literal may spell a lone surrogate."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)
