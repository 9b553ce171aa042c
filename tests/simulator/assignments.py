"""Workers: they take tasks of open pools, and submit, skip or let expire what they took."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.simulator.items import CHANGES, created_text, finished_text, stored
from tests.simulator.times import microseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.simulator.knobs import Knobs
    from tests.simulator.pools import Pool
    from tests.simulator.state import State
    from tests.simulator.tasks import Task

ASSIGNMENT_STATUSES = frozenset({"ACTIVE", "SUBMITTED", "ACCEPTED", "REJECTED", "SKIPPED", "EXPIRED"})
EVENTS = ("created", "submitted", "accepted", "rejected", "skipped", "expired")
# An infinite overlap is worked on by so many here, as long as nobody closes the pool.
INFINITE_WORKERS = 3


@dataclass(slots=True, eq=False)
class Assignment:
    """A worker's set of tasks; `times` are microseconds since 1970 by the event's name.

    Attributes:
        late: listings show it as it was before, ACTIVE.
    """

    number: int
    id: str
    suite_id: str
    pool_id: str
    user_id: str
    tasks: list[Task]
    times: dict[str, int]
    status: str = "ACTIVE"
    late: bool = False
    labels: list[str] = field(default_factory=list)

    @property
    def listed_status(self) -> str:
        """The status as listings know it."""
        return "ACTIVE" if self.late else self.status


def assignment_json(assignment: Assignment, knobs: Knobs) -> dict[str, Any]:
    """Return the assignment's JSON object."""
    body: dict[str, Any] = {
        "id": assignment.id,
        "task_suite_id": assignment.suite_id,
        "pool_id": assignment.pool_id,
        "user_id": assignment.user_id,
        "status": assignment.status,
        "reward": 0.02,
        "mixed": True,
        "automerged": True,
        "owner": {"id": "requester-1", "myself": True},
        "tasks": [
            {
                "id": task.id,
                "pool_id": task.pool_id,
                "input_values": CHANGES[knobs.changed_input](task.input_values),
            }
            for task in assignment.tasks
        ],
    }
    if assignment.labels:
        body["solutions"] = [{"output_values": {"result": label}} for label in assignment.labels]
    for event, time_us in assignment.times.items():
        text = created_text if event == "created" else finished_text
        body[event] = text(time_us, knobs)
    return body


class Workers:
    """Plans and carries out what workers do.

    Args:
        state: the clock, the randomness, the knobs and the pools.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def offer(self, pool: Pool, tasks: Sequence[Task]) -> None:
        """Let workers know of new tasks; who takes them does so while the pool is open."""
        size = self._state.knobs.suite_tasks
        rounds = max((self._rounds(task) for task in tasks), default=0)
        for turn in range(rounds):
            wanted = [task for task in tasks if self._rounds(task) > turn]
            pool.waiting += [wanted[at : at + size] for at in range(0, len(wanted), size)]
        self.work(pool)

    def work(self, pool: Pool) -> None:
        """Take what waits, if the pool is open."""
        knobs = self._state.knobs
        if pool.status != "OPEN" or knobs.finish_distribution == "never":
            return
        chunks, pool.waiting = pool.waiting, []
        for chunk in chunks:
            delay = self._state.rng.uniform(knobs.start_seconds_min, knobs.start_seconds_max)
            due_us = self._state.now_us + microseconds(delay)
            self._state.schedule.at(due_us, partial(self._take, pool, chunk))

    def submit(self, pool: Pool, tasks: Sequence[Task], status: str = "SUBMITTED") -> Assignment:
        """Have one worker do these tasks now; returns the assignment."""
        assignment = self._new(pool, list(tasks), self._state.now_us)
        if status != "ACTIVE":
            self._end(pool, assignment, status, self._state.now_us)
        return assignment

    def decide(self, assignment: Assignment, status: str) -> None:
        """Accept or reject a submitted assignment now, or take a rejection back."""
        self._set(assignment, status, self._state.now_us)

    def _rounds(self, task: Task) -> int:
        return INFINITE_WORKERS if task.infinite else task.overlap

    def _take(self, pool: Pool, chunk: list[Task], due_us: int) -> None:
        chunk = [task for task in chunk if not task.deleted]
        if not chunk:
            return
        if pool.status != "OPEN":
            pool.waiting.append(chunk)
            return
        assignment = self._new(pool, chunk, due_us)
        knobs, rng = self._state.knobs, self._state.rng
        worked = rng.uniform(knobs.finish_seconds_min, knobs.finish_seconds_max)
        status = self._drawn()
        end = partial(self._end, pool, assignment, status)
        self._state.schedule.at(due_us + microseconds(worked), end)

    def _new(self, pool: Pool, tasks: list[Task], at_us: int) -> Assignment:
        state = self._state
        state.assignments_made += 1
        for task in tasks:
            task.assigned += 1
        assignment = Assignment(
            number=state.assignments_made,
            id=state.pool_object_id(pool.id, at_us),
            suite_id=state.pool_object_id(pool.id, at_us),
            pool_id=pool.id,
            user_id=f"user-{state.assignments_made}",
            tasks=tasks,
            times={"created": stored(at_us, state.knobs.created_digits, state.knobs)},
        )
        pool.assignments[assignment.id] = assignment
        return assignment

    def _drawn(self) -> str:
        knobs = self._state.knobs
        shares = {"SKIPPED": knobs.skipped_share, "EXPIRED": knobs.expired_share}
        left = self._state.rng.random() if any(shares.values()) else 1.0
        for status, share in shares.items():
            if left < share:
                return status
            left -= share
        return "SUBMITTED"

    def _end(self, pool: Pool, assignment: Assignment, status: str, due_us: int) -> None:
        knobs, rng = self._state.knobs, self._state.rng
        if status in {"SKIPPED", "EXPIRED"}:
            self._set(assignment, status, due_us)
            # Somebody else is to do it.
            pool.waiting.append(assignment.tasks)
            self._state.schedule.at(due_us, lambda _: self.work(pool))
            return
        assignment.labels = [rng.choice(["OK", "BAD"]) for _ in assignment.tasks]
        self._set(assignment, "SUBMITTED", due_us)
        rejected = self._state.chance(knobs.rejected_share)
        decided = "REJECTED" if rejected else "ACCEPTED"
        if status != "SUBMITTED" or knobs.accept_seconds == 0:
            self._set(assignment, status if status != "SUBMITTED" else decided, due_us)
        elif knobs.accept_seconds is not None:
            decide = partial(self._decide, assignment, decided)
            self._state.schedule.at(due_us + microseconds(knobs.accept_seconds), decide)
        self._hide(assignment, due_us)

    def _decide(self, assignment: Assignment, status: str, due_us: int) -> None:
        if assignment.status == "SUBMITTED":
            self._set(assignment, status, due_us)

    def _set(self, assignment: Assignment, status: str, due_us: int) -> None:
        assignment.status = status
        knobs = self._state.knobs
        assignment.times[status.lower()] = stored(due_us, knobs.finished_digits, knobs)

    def _hide(self, assignment: Assignment, due_us: int) -> None:
        knobs = self._state.knobs
        assignment.late = self._state.chance(knobs.late_share)
        if assignment.late:
            show: Callable[[int], None] = partial(_show, assignment)
            self._state.schedule.at(due_us + microseconds(knobs.late_seconds), show)


def _show(assignment: Assignment, _due_us: int) -> None:
    assignment.late = False
