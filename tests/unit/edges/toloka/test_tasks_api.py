"""Tasks against a simulated Toloka, and against servers that do as they like: what goes in."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from daemon.edges.toloka import asking, following, listing, tasks_bulk
from daemon.edges.toloka.sending import Answer
from daemon.model import Accepted, Divided, Flaw, InDoubt, NotNow, Outcome, Rejected, TooLarge
from tests.simulator.faults import Fault
from tests.simulator.knobs import Knobs
from tests.simulator.pools import ARCHIVED_POOL, BARE_POOL, CLOSED_POOL, LOCKED_POOL, POOR_POOL, TASKS_POOL
from tests.simulator.serving import Simulator, serve
from tests.unit.edges.toloka import pools
from tests.unit.edges.toloka.apps import EARLIEST, fault
from tests.unit.edges.toloka.pools import attempt, tasks
from tests.unit.edges.toloka.wire import requests_counted

STILL = Knobs(finish_distribution="never", requests_per_second=None, operation_seconds_max=0.01)
MODES = pytest.mark.parametrize("once", [True, False], ids=["operation", "at once"])


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "FIRST_WAIT_SECONDS", 0.005)
    monkeypatch.setattr(listing, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(asking, "AGAIN_SECONDS", 0.001)


def turned(**changes: Any) -> Knobs:
    """The knobs of these tests, with some changed."""
    return replace(STILL, **changes)


def made(toloka: Simulator) -> dict[str, str]:
    """Text to id of every task ever created."""
    return {row["input_data"].get("text"): row["id"] for row in toloka.control.tasks()}


# --- what is created -------------------------------------------------------------------------------------


@MODES
async def test_tasks_are_tied_to_their_items(*, once: bool) -> None:
    """In whatever order a log has them; in doubt or not, each id is that of its item."""
    async with serve(turned(log_order="shuffled")) as toloka, pools.tasks_api(toloka.url) as here:
        outcome = await here.submit(tasks("a", "b", "c", "b"), attempt(once=once))
        rows = toloka.control.tasks()
    assert isinstance(outcome, Accepted)
    texts = {row["id"]: row["input_data"]["text"] for row in rows}
    assert [texts[task_id] for task_id in outcome.ids] == ["a", "b", "c", "b"]


@MODES
async def test_one_task(*, once: bool) -> None:
    """It is sent in an array, too."""
    async with serve(STILL) as toloka, pools.tasks_api(toloka.url) as here:
        outcome = await here.submit(tasks("a"), attempt(once=once))
        assert outcome == Accepted((made(toloka)["a"],))


async def test_nothing_is_added_to_what_workers_see() -> None:
    """The place in the batch stands beside the values, and counts from the batch's first offset."""
    async with serve(STILL) as toloka, pools.tasks_api(toloka.url) as here:
        intent = attempt()
        await here.submit(tasks("a", "b"), intent)
        (operation,) = toloka.core.state.operations.values()
    assert (operation.id, operation.type) == (intent.attempt, "TASK.BATCH_CREATE")
    assert [step["input"] for step in operation.log] == [
        {"__item_idx": str(place), "pool_id": TASKS_POOL, "input_values": {"text": text}, "overlap": 1}
        for place, text in enumerate("ab")
    ]


async def test_a_log_that_does_not_give_places_back() -> None:
    """Then each step is known by its content; equal content may change places."""
    async with serve(turned(log_order="shuffled")) as toloka, pools.tasks_api(toloka.url) as here:
        intent = attempt()
        await here.submit(tasks("a", "b", "a"), intent)
        (operation,) = toloka.core.state.operations.values()
        for step in operation.log:
            step["input"] = {"input_values": step["input"]["input_values"]}
        again = await here.submit(tasks("a", "b", "a"), intent)
        rows = toloka.control.tasks()
    assert isinstance(again, Accepted)
    texts = {row["id"]: row["input_data"]["text"] for row in rows}
    assert ([texts[task_id] for task_id in again.ids], len(set(again.ids))) == (["a", "b", "a"], 3)


@MODES
@pytest.mark.parametrize("form", ["flat", "nested"])
async def test_invalid_tasks_are_left_out(form: Any, *, once: bool) -> None:
    """What is valid is created; the others are named with field and code."""
    async with serve(turned(log_errors=form)) as toloka, pools.tasks_api(toloka.url) as here:
        outcome = await here.submit(tasks("a", None, "c"), attempt(once=once))
        ids = made(toloka)
    assert isinstance(outcome, Divided)
    assert outcome.ids == {0: ids["a"], 2: ids["c"]}
    assert (outcome.culprits[1].code, outcome.culprits[1].message.split(":")[0]) == (
        "VALUE_REQUIRED",
        "input_values.text",
    )


@MODES
@pytest.mark.parametrize("form", ["nested", "dotted"])
async def test_all_or_nothing(form: Any, *, once: bool) -> None:
    """Where invalid tasks are not to be skipped, one refuses all; it ends an operation for good."""
    async with (
        serve(turned(sync_errors=form)) as toloka,
        pools.tasks_api(toloka.url, skip_invalid_items=False) as here,
    ):
        outcome = await here.submit(tasks("a", None), attempt(once=once))
        assert made(toloka) == {}
    assert isinstance(outcome, Rejected)
    assert (list(outcome.culprits), outcome.over) == ([1], once)
    assert outcome.culprits[1].message.startswith("input_values.text: ")


@MODES
async def test_only_invalid_tasks(*, once: bool) -> None:
    """Nothing is created, and each is named."""
    async with serve(STILL) as toloka, pools.tasks_api(toloka.url) as here:
        outcome = await here.submit(tasks(None, None), attempt(once=once))
    assert isinstance(outcome, Rejected | Divided)
    assert (sorted(outcome.culprits), getattr(outcome, "ids", {})) == ([0, 1], {})


@pytest.mark.parametrize("made", [{}, {"items": {}}, {"items": None}])
def test_only_invalid_tasks_at_once_without_any_items(made: dict[str, Any]) -> None:
    """Each is named, so that nothing is in doubt: asking again would be answered so for ever."""
    wrong = {"input_values.text": {"code": "VALUE_REQUIRED", "message": "missing"}}
    body = msgspec.json.encode({**made, "validation_errors": {"0": wrong, "1": wrong}})
    flaw = Flaw("VALUE_REQUIRED", "input_values.text: missing")
    assert tasks_bulk.outcome(Answer(201, {}, body, 0.1), 2, EARLIEST) == Divided({}, {0: flaw, 1: flaw})


async def test_the_parameters_of_a_request() -> None:
    """Each setting is the query's parameter of its name; the pool's default overlap is used where allowed."""
    async with (
        serve(STILL) as toloka,
        pools.tasks_api(toloka.url, allow_defaults=True, open_pool=True, skip_invalid_items=False) as here,
    ):
        items = tasks("a")
        await here.submit(items, attempt())
        (operation,) = toloka.core.state.operations.values()
    assert operation.parameters == {
        "open_pool": True,
        "allow_defaults": True,
        "skip_invalid_items": False,
    }


# --- in doubt --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["drop", "drop_answer", "truncated", "wrong_type", "duplicate_keys"])
async def test_an_answer_that_was_lost_is_asked_for_again(kind: str) -> None:
    """Sent again under the same attempt, nothing is created twice, and the ids are the first ones'."""
    async with serve(STILL) as toloka, pools.tasks_api(toloka.url, per_minute=10) as here:
        intent = attempt()
        fault(toloka, kind, "tasks", committed=True, times=1)
        first = await here.submit(tasks("a", "b"), intent)
        again = await here.submit(tasks("a", "b"), intent)
        ids = made(toloka)
        repeated = toloka.control.stats()["repeated_operations"]
        counted = here.quota.wait_seconds(9) > 0
    assert isinstance(first, InDoubt | Accepted)
    assert (again, len(ids)) == (Accepted((ids["a"], ids["b"])), 2)
    # What is there already is not sent once more; what is not known to be there is, and is not created.
    assert repeated == isinstance(first, InDoubt)
    assert counted


@pytest.mark.parametrize("status", [409, 400])
async def test_an_operation_that_is_there_already(status: Any) -> None:
    """The code says so, whatever the status; another process follows it as well as the one that made it."""
    async with serve(turned(operation_repeat_status=status)) as toloka:
        intent = attempt()
        async with pools.tasks_api(toloka.url) as here:
            first = await here.submit(tasks("a", None), intent)
        async with pools.tasks_api(toloka.url) as successor:
            again = await successor.submit(tasks("a", None), intent)
            assert requests_counted(successor.metrics)[("operation_log", "success")] == 1
        assert (again, len(made(toloka))) == (first, 1)


@pytest.mark.parametrize("status", [400, 413])
async def test_a_refusal_of_what_is_there_already(status: int) -> None:
    """It speaks of that request only: the attempt's operation is looked for, and followed."""
    async with serve(STILL) as toloka:
        intent = attempt()
        async with pools.tasks_api(toloka.url) as here:
            first = await here.submit(tasks("a"), intent)
        async with pools.tasks_api(toloka.url) as successor:
            fault(toloka, "status", "tasks", status=status, style="empty", times=1)
            assert await successor.submit(tasks("a"), intent) == first
        assert len(made(toloka)) == 1


@pytest.mark.parametrize("fails", [{"kind": "status", "status": 500}, {"kind": "drop"}])
async def test_a_refusal_beside_an_operation_that_cannot_be_asked_for(fails: dict[str, Any]) -> None:
    """It may be there: in doubt, and not sent again under another name."""
    async with serve(STILL) as toloka, pools.tasks_api(toloka.url) as here:
        refusal = Fault("status", ("tasks",), status=400, style="empty", times=1)
        toloka.faults.replace([refusal, Fault(operations=("operation",), style="empty", **fails)])
        outcome = await here.submit(tasks("a"), attempt())
        assert toloka.control.stats()["requests"]["tasks"] == {"400": 1}
    assert isinstance(outcome, InDoubt)
    assert "may be there" in outcome.why


async def test_an_operation_that_takes_long() -> None:
    """At the deadline the attempt is in doubt; the next time it is followed, not sent."""
    async with serve(turned(operation_seconds_min=0.3, operation_seconds_max=0.3)) as toloka:
        async with pools.tasks_api(toloka.url) as here:
            intent = attempt()
            outcome = await here.submit(tasks("a"), intent, 0.05)
            assert isinstance(outcome, InDoubt)
            assert isinstance(await here.submit(tasks("a"), intent), Accepted)
        assert toloka.control.stats()["requests"]["tasks"] == {"202": 1}


async def test_an_operation_of_another_type() -> None:
    """It is none of ours, and tells nothing of our tasks: another attempt is made."""
    async with serve(STILL) as toloka, pools.tasks_api(toloka.url) as here:
        intent = attempt()
        await here.submit(tasks("a"), intent)
        toloka.core.state.operations[intent.attempt].type = "POOL.OPEN"
        outcome = await here.submit(tasks("a"), intent)
    assert isinstance(outcome, NotNow)
    assert (outcome.reason, outcome.over) == ("conflict", True)


async def test_an_operation_without_a_type() -> None:
    """It may be ours, so no other attempt is made: what it has created is listed, in the end."""
    async with serve(STILL) as toloka, pools.tasks_api(toloka.url) as here:
        intent = attempt()
        await here.submit(tasks("a"), intent)
        toloka.core.state.operations[intent.attempt].type = ""
        told = [await here.submit(tasks("a"), intent) for _ in range(following.PATIENCE_TRIES)]
    assert [outcome.listing for outcome in told if isinstance(outcome, InDoubt)] == [False] * 4 + [True]


@pytest.mark.parametrize(("operation", "kind"), [("operation", "drop"), ("operation_log", "truncated")])
async def test_an_operation_that_cannot_be_asked_for(operation: str, kind: str) -> None:
    """It is there, so the attempt stays in doubt until it can."""
    async with serve(STILL) as toloka, pools.tasks_api(toloka.url) as here:
        intent = attempt()
        fault(toloka, kind, operation)
        assert isinstance(await here.submit(tasks("a"), intent), InDoubt)
        toloka.faults.clear()
        assert isinstance(await here.submit(tasks("a"), intent), Accepted)


async def test_what_was_not_told_at_first_is_not_counted_for_ever() -> None:
    """Logs may come later than their operations' ends, each of them: nothing is kept of those that came."""
    async with serve(STILL) as toloka, pools.tasks_api(toloka.url) as here:
        for _ in range(3):
            intent = attempt()
            fault(toloka, "status", "operation_log", status=404, style="json", times=1)
            assert isinstance(await here.submit(tasks("a"), intent), InDoubt)
            assert isinstance(await here.submit(tasks("a"), intent), Accepted)
        assert not here.submissions._following._untold


async def test_a_log_that_is_archived() -> None:
    """What was created can only be found by looking; what failed has created nothing."""
    async with serve(turned(log_kept_seconds=0.0)) as toloka, pools.tasks_api(toloka.url) as here:
        outcome = await here.submit(tasks("a", "b"), attempt())
        assert isinstance(outcome, InDoubt)
        assert outcome.listing
        found = await here.submissions.created(EARLIEST, None)
        hashes = {item.content_hash for item in tasks("a", "b")}
        assert {(created.wanted, created.pool) for created in found} == {(1, TASKS_POOL)}
        assert ({created.content_hash for created in found}, len(found)) == (hashes, 2)
        assert await here.submissions.created(EARLIEST, None, None, lambda _: False) == []
        failed = await here.submit(tasks(None), attempt())
        assert isinstance(failed, NotNow)
        assert failed.over


@pytest.mark.parametrize("status", [429, 503])
async def test_an_operation_that_toloka_does_not_show_is_not_given_up(status: int) -> None:
    """It may be carried out yet: a listing would not show what is still to come."""
    async with serve(STILL) as toloka, pools.tasks_api(toloka.url) as here:
        intent = attempt()
        await here.submit(tasks("a", "b"), intent)
        fault(toloka, "status", "operation", status=status, style="json")
        for _ in range(following.PATIENCE_TRIES + 2):
            outcome = await here.submit(tasks("a", "b"), intent)
            assert isinstance(outcome, InDoubt)
            assert not outcome.listing


async def test_an_operation_that_toloka_has_taken_and_does_not_know_is_sent_again() -> None:
    """Under its name, which is answered by what it is: it may be carried out later than any listing tells."""
    async with serve(STILL) as toloka, pools.tasks_api(toloka.url) as here:
        intent = attempt()
        fault(toloka, "status", "operation", status=404, style="json")
        for _ in range(2 * following.PATIENCE_TRIES + 2):
            outcome = await here.submit(tasks("a", "b"), intent)
            assert isinstance(outcome, InDoubt)
            assert not outcome.listing
        toloka.faults.clear()
        ids = made(toloka)
        assert await here.submit(tasks("a", "b"), intent) == Accepted((ids["a"], ids["b"]))
        stats = toloka.control.stats()
    assert (len(ids), stats["requests"]["tasks"]) == (2, {"202": 1, "409": 2})


async def test_an_operation_that_toloka_has_not_confirmed_is_not_sent_again() -> None:
    """A server that answered with something else may carry it out each time: only a listing can tell."""
    async with serve(STILL) as toloka, pools.tasks_api(toloka.url) as here:
        intent = attempt()
        fault(toloka, "wrong_type", "tasks", committed=True)
        toloka.faults.add(Fault("status", ("operation",), status=404, style="json"))
        told = [await here.submit(tasks("a"), intent) for _ in range(following.PATIENCE_TRIES)]
        assert toloka.control.stats()["requests"]["tasks"].total() == 1
    assert [outcome.listing for outcome in told if isinstance(outcome, InDoubt)] == [False] * 4 + [True]


async def test_a_log_that_shows_less_than_was_created() -> None:
    """It is asked again some times; then only a listing can tell."""
    async with serve(STILL) as toloka, pools.tasks_api(toloka.url) as here:
        intent = attempt()
        await here.submit(tasks("a", "b"), intent)
        (operation,) = toloka.core.state.operations.values()
        del operation.log[1]
        told: list[Outcome] = [
            await here.submit(tasks("a", "b"), intent) for _ in range(following.PATIENCE_TRIES)
        ]
    assert all(isinstance(outcome, InDoubt) for outcome in told)
    assert [outcome.listing for outcome in told if isinstance(outcome, InDoubt)][-2:] == [False, True]


@pytest.mark.parametrize("skip", [False, True], ids=["all or none", "the valid ones"])
async def test_a_log_that_names_its_culprits_late(*, skip: bool) -> None:
    """The log is asked for again, or no attempt would ever learn of them."""
    async with serve(STILL) as toloka, pools.tasks_api(toloka.url, skip_invalid_items=skip) as here:
        intent = attempt()
        named = await here.submit(tasks(None), intent)
        (operation,) = toloka.core.state.operations.values()
        log, operation.log = operation.log, []
        early = await here.submit(tasks(None), intent)
        operation.log = log
        late = await here.submit(tasks(None), intent)
    assert isinstance(early, InDoubt)
    assert not early.listing
    assert (late, isinstance(late, Rejected | Divided)) == (named, True)


async def test_an_operation_that_failed_and_names_no_task() -> None:
    """Once its log has been asked for some times, it is no task's fault: Toloka is asked later."""
    async with serve(STILL) as toloka, pools.tasks_api(toloka.url, skip_invalid_items=False) as here:
        intent = attempt()
        await here.submit(tasks(None), intent)
        (operation,) = toloka.core.state.operations.values()
        operation.log = []
        told = [await here.submit(tasks(None), intent) for _ in range(following.PATIENCE_TRIES)]
    assert [type(outcome) for outcome in told] == [InDoubt] * (following.PATIENCE_TRIES - 1) + [NotNow]
    assert told[-1] == NotNow("refused", "the operation failed, and its log names no task", over=True)


@pytest.mark.parametrize("code", ["TOO_MANY_REQUESTS", "NOT_ENOUGH_BALANCE", "INTERNAL_ERROR"])
async def test_a_task_is_not_to_blame_for_what_befell_its_operation(code: str) -> None:
    """It is sent again, at once or, where none was created, when Toloka is asked again; never given up."""
    async with serve(STILL) as toloka, pools.tasks_api(toloka.url) as here:
        intent = attempt()
        await here.submit(tasks("a", "b"), intent)
        (operation,) = toloka.core.state.operations.values()
        refused = {"success": False, "output": {"code": code, "message": "not now", "request_id": "1-1"}}
        operation.log[1] |= refused
        operation.details = {"success_count": 1}
        half = await here.submit(tasks("a", "b"), intent)
        operation.log[0] |= refused
        operation.details, operation.status = {"success_count": 0}, "FAIL"
        none = await here.submit(tasks("a", "b"), intent)
    assert half == Divided({0: made(toloka)["a"]}, {})
    assert none == NotNow("refused", f"the operation failed: {code} not now", over=True)


@pytest.mark.fault(45)
@MODES
@pytest.mark.parametrize("committed", [False, True])
async def test_a_failing_server_is_in_doubt(*, once: bool, committed: bool) -> None:
    """A 503 says nothing of what became of the request."""
    async with serve(STILL) as toloka, pools.tasks_api(toloka.url) as here:
        fault(toloka, "status", "tasks", status=503, committed=committed)
        assert isinstance(await here.submit(tasks("a"), attempt(once=once)), InDoubt)


@pytest.mark.parametrize("kind", ["truncated", "wrong_type"])
async def test_an_unreadable_answer_at_once_is_in_doubt(kind: str) -> None:
    """The tasks may be there: they are looked for."""
    async with serve(STILL) as toloka, pools.tasks_api(toloka.url) as here:
        fault(toloka, kind, "tasks", times=1)
        assert isinstance(await here.submit(tasks("a", "b"), attempt(once=False)), InDoubt)
        assert len(await here.submissions.created(EARLIEST, None)) == 2


# --- refusals --------------------------------------------------------------------------------------------


@MODES
@pytest.mark.parametrize(
    ("pool_id", "code"),
    [
        (ARCHIVED_POOL, "POOL_INAPPROPRIATE_STATUS"),
        (LOCKED_POOL, "POOL_LOCKED_BY_ANOTHER_OPERATION"),
        (BARE_POOL, "MIXER_CONFIG_REQUIRED"),
    ],
)
async def test_pools_that_take_no_tasks(pool_id: str, code: str, *, once: bool) -> None:
    """It is not the tasks' fault: the flow is held, with the reason."""
    async with serve(STILL) as toloka, pools.tasks_api(toloka.url, pools=(pool_id,)) as here:
        items = [
            msgspec.structs.replace(item, body=item.body.replace(TASKS_POOL.encode(), pool_id.encode()))
            for item in tasks("a")
        ]
        outcome = await here.submit(items, attempt(once=once))
    assert isinstance(outcome, NotNow)
    assert (outcome.reason, code in outcome.detail, outcome.over) == ("conflict", True, False)


@MODES
@pytest.mark.parametrize(("knob", "seconds"), [("minute", 60), ("hour", 3600), ("day", 86_400)])
async def test_quotas(knob: str, seconds: float, *, once: bool) -> None:
    """The interval that Toloka names is waited for; the tasks are counted by none of our own quotas."""
    async with (
        serve(turned(**{f"items_per_{knob}": 1})) as toloka,
        pools.tasks_api(toloka.url, per_minute=2) as here,
    ):
        outcome = await here.submit(tasks("a", "b"), attempt(once=once))
        assert here.quota.wait_seconds(2) == 0
    assert isinstance(outcome, NotNow)
    assert (outcome.reason, outcome.wait_seconds) == ("throttled", seconds)


async def test_too_much_for_one_request() -> None:
    """By number or by bytes: a smaller one may be taken."""
    few = turned(tasks_max_items=2, tasks_max_bytes=100)
    async with serve(few) as toloka, pools.tasks_api(toloka.url) as here:
        assert isinstance(await here.submit(tasks("a", "b", "c"), attempt(once=False)), TooLarge)
        assert isinstance(await here.submit(tasks("x" * 200), attempt()), TooLarge)


@MODES
async def test_a_credential_that_is_refused(*, once: bool) -> None:
    """The flow is held; the probe finds it before anything is sent."""
    async with serve(STILL) as toloka, pools.tasks_api(toloka.url) as here:
        fault(toloka, "status", "tasks", status=403, style="json")
        outcome = await here.submit(tasks("a"), attempt(once=once))
        assert isinstance(outcome, NotNow)
        assert outcome.reason == "forbidden"


async def test_a_pool_that_is_not_there() -> None:
    """The probe says so, and nothing is sent."""
    async with serve(STILL) as toloka, pools.tasks_api(toloka.url, pools=("7",)) as here:
        no = await here.submissions.ready(1)
    assert no is not None
    assert no.reason == "not_found"


# --- opening the pool ------------------------------------------------------------------------------------


async def test_a_pool_is_opened_once_tasks_are_in_it() -> None:
    """By the request itself, where that is asked for."""
    async with (
        serve(STILL) as toloka,
        pools.tasks_api(toloka.url, pools=(CLOSED_POOL,), open_pool=True) as here,
    ):
        await here.submit(_to(CLOSED_POOL), attempt())
        assert toloka.core.state.world.pools[CLOSED_POOL].status == "OPEN"


async def test_a_pool_that_cannot_be_opened_holds_the_flow() -> None:
    """The tasks are in it; the next ones wait until it opens, with the reason."""
    async with (
        serve(STILL) as toloka,
        pools.tasks_api(toloka.url, pools=(POOR_POOL,), open_pool=True) as here,
    ):
        assert isinstance(await here.submit(_to(POOR_POOL), attempt()), Accepted)
        no = await here.submissions.ready(1)
        assert no is not None
        assert (no.reason, "NOT_ENOUGH_BALANCE" in no.detail) == ("conflict", True)
        toloka.core.state.world.pools[POOR_POOL].balance = True
        assert await here.submissions.ready(1) is None
        assert toloka.core.state.world.pools[POOR_POOL].status == "OPEN"


def _to(pool_id: str) -> list[Any]:
    return [
        msgspec.structs.replace(item, body=item.body.replace(TASKS_POOL.encode(), pool_id.encode()))
        for item in tasks("a")
    ]
