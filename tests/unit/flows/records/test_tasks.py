"""A record's value as a task: what is sent, and what is refused before anything is."""

from typing import Any

import msgspec
import pytest

from daemon.content import content_hash
from daemon.flows.records.items import ItemReader
from daemon.flows.records.tasks import PoolTerms, TaskReader, TaskSpec
from daemon.model import Flaw, Item
from tests.doubles import FakeRecord
from tests.simulator.pools import TASKS_POOL
from tests.unit.edges.toloka.pools import reader

VALUES = {"text": "a"}
SPEC = TaskSpec(TASKS_POOL, {TASKS_POOL: PoolTerms()}, allow_defaults=False)


def read(task: dict[str, Any], **pools: PoolTerms) -> Item | Flaw:
    """What becomes of a record with this task."""
    return reader(**pools).read(FakeRecord(7, msgspec.json.encode(task)), "tasks-0")


def accepted(task: dict[str, Any], **pools: PoolTerms) -> Item:
    """The task in a record that has one."""
    found = read(task, **pools)
    assert isinstance(found, Item), found
    return found


def test_a_task_is_sent_as_it_is_with_its_pool() -> None:
    """Byte for byte behind the pool's id; only the values are what is compared."""
    body = b' {"overlap":2, "input_values" : {"text":"a"},"localization_config":{"default_language":"EN"}}'
    found = reader().read(FakeRecord(7, body), "tasks-0")
    assert isinstance(found, Item)
    assert found.body == b'{"pool_id":"%s",' % TASKS_POOL.encode() + body[2:]
    assert (found.content_hash, found.wanted) == (content_hash(VALUES), 2)


def test_a_task_may_name_one_of_the_pools() -> None:
    """And no other; a place in a batch that a record brings along is ours to say."""
    terms = {"21": PoolTerms()}
    task = {"pool_id": "21", "__item_idx": "9", "input_values": VALUES, "overlap": 1}
    item = accepted(task, **terms)
    assert msgspec.json.decode(item.body) == {"pool_id": "21", "input_values": VALUES, "overlap": 1}
    assert item.pool == "21"
    found = read({**task, "pool_id": "22"}, **terms)
    assert isinstance(found, Flaw)
    assert found.code == "VALUE_NOT_ALLOWED"


@pytest.mark.parametrize(
    ("task", "terms", "wanted"),
    [
        ({"overlap": 3}, PoolTerms(), 3),
        ({}, PoolTerms(default_overlap=2), 2),
        ({"overlap": 3}, PoolTerms(default_overlap=2), 3),
        ({"infinite_overlap": True}, PoolTerms(), 0),
        ({"overlap": 3, "infinite_overlap": True}, PoolTerms(), 0),
        ({"overlap": 3, "infinite_overlap": False}, PoolTerms(), 3),
        ({"overlap": 3}, PoolTerms(dynamic=True), 0),
    ],
)
def test_how_many_results_are_awaited(task: dict[str, Any], terms: PoolTerms, wanted: int) -> None:
    """A task's own overlap beats the pool's; infinite and dynamic overlap have no number."""
    found = accepted({"pool_id": "21", "input_values": VALUES, **task}, **{"21": terms})
    assert found.wanted == wanted


def test_every_member_of_the_page() -> None:
    """All that the page names is sent on, and so is what it does not name."""
    task = {
        "input_values": VALUES,
        "known_solutions": [{"output_values": {"result": "OK"}, "correctness_weight": 0.8}],
        "baseline_solutions": [{"output_values": {"result": "OK"}, "confidence_weight": 1}],
        "message_on_unknown_solution": "a hint",
        "overlap": 3,
        "infinite_overlap": False,
        "reserved_for": ["u-1"],
        "unavailable_for": [17],
        "localization_config": {},
        "origin_task_id": "t-1",
        "traits_all_of": ["t"],
    }
    assert msgspec.json.decode(accepted(task).body) == {"pool_id": TASKS_POOL, **task}


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"input_values": None}, "OBJECT_EXPECTED", "input_values"),
        ({"input_values": [1]}, "OBJECT_EXPECTED", "input_values"),
        ({"overlap": None}, "VALUE_REQUIRED", "overlap"),
        ({"overlap": 0}, "VALUE_LESS_THAN_MIN", "overlap"),
        ({"overlap": 30_001}, "VALUE_GREATER_THAN_MAX", "overlap"),
        ({"overlap": "3"}, "INTEGER_EXPECTED", "overlap"),
        ({"overlap": True}, "INTEGER_EXPECTED", "overlap"),
        ({"infinite_overlap": "no"}, "BOOLEAN_EXPECTED", "infinite_overlap"),
        ({"known_solutions": {}}, "ARRAY_EXPECTED", "known_solutions"),
        ({"known_solutions": [{}]}, "VALUE_REQUIRED", "known_solutions[0].output_values"),
        (
            {"known_solutions": [{"output_values": {}, "correctness_weight": 1.5}]},
            "VALUE_GREATER_THAN_MAX",
            "known_solutions[0].correctness_weight",
        ),
        (
            {"baseline_solutions": [{"output_values": {}, "confidence_weight": -1}]},
            "VALUE_LESS_THAN_MIN",
            "baseline_solutions[0].confidence_weight",
        ),
        ({"message_on_unknown_solution": 1}, "STRING_EXPECTED", "message_on_unknown_solution"),
        ({"reserved_for": ["a", "a"]}, "VALUE_NOT_ALLOWED", "reserved_for"),
        ({"unavailable_for": "a"}, "ARRAY_EXPECTED", "unavailable_for"),
        ({"origin_task_id": 5}, "STRING_EXPECTED", "origin_task_id"),
        ({"localization_config": "EN"}, "OBJECT_EXPECTED", "localization_config"),
    ],
)
def test_what_is_certainly_wrong(change: dict[str, Any], code: str, field: str) -> None:
    """It is refused by field and code, as Toloka would."""
    found = read({"input_values": VALUES, "overlap": 1, **change})
    assert isinstance(found, Flaw), found
    assert (found.code, found.message.split(":")[0]) == (code, field)


def test_a_task_without_values() -> None:
    """There is nothing to work on."""
    found = read({"overlap": 1})
    assert isinstance(found, Flaw)
    assert (found.code, found.message.split(":")[0]) == ("VALUE_REQUIRED", "input_values")


def test_solutions_that_are_too_large() -> None:
    """Toloka takes 4,194,304 bytes of them."""
    large = [{"output_values": {"x": "y" * 300_000}}] * 15
    body = msgspec.json.encode({"input_values": VALUES, "overlap": 1, "known_solutions": large})
    roomy = reader()
    roomy._reader._max_bytes = 10_000_000
    found = roomy.read(FakeRecord(7, body), "tasks-0")
    assert isinstance(found, Flaw)
    assert (found.code, found.message.split(":")[0]) == ("TOO_LARGE", "output_values")


def test_a_task_that_another_limit_let_through_is_what_it_would_have_sent() -> None:
    """What was never a task was never sent."""
    small = TaskReader(ItemReader(SPEC, None, 100), SPEC)
    large = FakeRecord(7, msgspec.json.encode({"input_values": {"text": "a" * 100}, "overlap": 2}))
    found = small.read_unchecked(large, "tasks-0")
    assert found == reader().read(large, "tasks-0")
    assert isinstance(small.read(large, "tasks-0"), Flaw)
    assert isinstance(small.read_unchecked(FakeRecord(7, b'{"overlap":2}'), "tasks-0"), Flaw)
