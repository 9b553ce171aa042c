"""The topics that are needed: how missing ones are made, and what is unwise about those that are there."""

from dataclasses import replace

import pytest

from daemon.app.demands import COMPACTED, HEADROOM_BYTES, Demanded, advice, missing, problems
from daemon.edges.kafka.topics import Topic

INPUT = Demanded("TOLOKAD_KAFKA__INPUT_TOPIC", "in", "input")
OUTPUT = Demanded("TOLOKAD_KAFKA__OUTPUT_TOPIC", "out", "output")
DEAD = Demanded("TOLOKAD_KAFKA__DEAD_LETTER_TOPIC", "dead", "output")
LEDGER = Demanded("TOLOKAD_KAFKA__LEDGER_TOPIC", "ledger", "compacted")
LARGE = Topic("in", 3, {"max.message.bytes": "3000000"})


def test_what_records_become_fits_the_topics_that_are_made() -> None:
    """A result and a dead letter are larger than their record, whatever the input topic takes."""
    made = missing((INPUT, OUTPUT, DEAD), {"in": LARGE})
    assert [(each.name, each.partitions) for each in made] == [("out", 3), ("dead", 3)]
    assert {each.configs["max.message.bytes"] for each in made} == {str(3_000_000 + HEADROOM_BYTES)}


def test_a_topic_that_takes_less_than_the_input_is_advised_against() -> None:
    """The largest record's result would be a dead letter, and that would not fit either."""
    found = {"in": LARGE, "out": Topic("out", 3, {}), "dead": replace(LARGE, name="dead")}
    said = list(advice((INPUT, OUTPUT, DEAD), found))
    assert [each.split(":")[0] for each in said] == [OUTPUT.variable, DEAD.variable]
    assert all(each.endswith(f"max.message.bytes={3_000_000 + HEADROOM_BYTES}") for each in said)
    large = Topic("out", 3, {"max.message.bytes": "3000001"})
    assert not list(advice((INPUT, OUTPUT), {"in": LARGE, "out": large}))


@pytest.mark.parametrize("wanted", [OUTPUT, DEAD])
@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_results_and_dead_letters_are_better_not_compacted(wanted: Demanded, policy: str) -> None:
    """Records with one key may each have a result; those without a key would be refused."""
    found = Topic(wanted.name, 3, {"cleanup.policy": policy})
    (said,) = advice((wanted,), {wanted.name: found})
    assert said.startswith(wanted.variable)
    assert said.endswith(f"--entity-name {wanted.name} --add-config cleanup.policy=delete")
    assert not list(advice((wanted,), {wanted.name: replace(found, configs={"cleanup.policy": "delete"})}))
    assert not list(problems(wanted, found))


def test_a_ledger_that_is_compacted_late_is_advised_against() -> None:
    """With the broker's defaults a week of closed items is read at every start."""
    defaults = {**COMPACTED, "segment.ms": "604800000", "min.cleanable.dirty.ratio": "0.5"}
    (said,) = advice((LEDGER,), {"ledger": Topic("ledger", 3, defaults)})
    assert "has segment.ms=604800000 and min.cleanable.dirty.ratio=0.5" in said
    assert said.endswith("--add-config segment.ms=600000,min.cleanable.dirty.ratio=0.1")
    for fine in (COMPACTED, {}):
        assert not list(advice((LEDGER,), {"ledger": Topic("ledger", 3, fine)}))
