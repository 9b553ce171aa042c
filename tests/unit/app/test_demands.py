"""The topics that are needed: how missing ones are made, and what is unwise about those that are there."""

from dataclasses import replace

from daemon.app.demands import HEADROOM_BYTES, Demanded, advice, missing
from daemon.edges.topics import Topic

INPUT = Demanded("TOLOKAD_KAFKA__INPUT_TOPIC", "in", "input")
OUTPUT = Demanded("TOLOKAD_KAFKA__OUTPUT_TOPIC", "out", "output")
DEAD = Demanded("TOLOKAD_KAFKA__DEAD_LETTER_TOPIC", "dead", "output")
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
