"""Which metrics a PromQL expression speaks of, and with which label values."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from daemon.metrics import Metrics, catalogue

NAME: Final = re.compile(r"\b(?:tolokad_|process_|python_|job:)[a-zA-Z0-9_:]+")
MATCHER: Final = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
SELECTOR: Final = re.compile(r"(tolokad_[a-z0-9_]+)\{([^}]*)\}")
SUFFIXES: Final = ("_bucket", "_sum", "_count")
# What a scrape adds to every series, and a histogram to its own.
SCRAPED: Final = frozenset({"job", "namespace", "instance", "le"})


def names_in(expression: str) -> set[str]:
    """The metrics and recorded series that it names."""
    return set(NAME.findall(expression))


@cache
def known_names() -> frozenset[str]:
    """Every series that a replica shows."""
    shown = {sample.name for family in Metrics().registry.collect() for sample in family.samples}
    for metric in catalogue():
        suffixes = SUFFIXES if metric.kind == "histogram" else ("",)
        shown |= {metric.name + suffix for suffix in suffixes}
    return frozenset(shown)


@cache
def _known_values() -> Mapping[tuple[str, str], set[str]]:
    """Every value that a label takes, by the metric's name less `_total` and the label's."""
    values: dict[tuple[str, str], set[str]] = defaultdict(set)
    for family in Metrics().registry.collect():
        for sample in family.samples:
            for label, value in sample.labels.items():
                values[family.name, label].add(value)
    return values


def unknown_labels(expression: str) -> Iterator[str]:
    """Labels that a metric does not have, and values that a label never takes."""
    labels = {metric.name: {*metric.labels, *SCRAPED} for metric in catalogue()}
    for name, matchers in SELECTOR.findall(expression):
        plain = next((name.removesuffix(s) for s in SUFFIXES if name.removesuffix(s) in labels), name)
        for label, pattern in MATCHER.findall(matchers):
            if label not in labels[plain]:
                yield f"{name} has no label {label}"
            known = _known_values().get((plain.removesuffix("_total"), label), set())
            for value in pattern.split("|"):
                if known and label not in SCRAPED and value not in known:
                    yield f"{name}: {label} is never {value}"
