"""Operations: what is carried out in the background, its state and its log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.simulator.items import created_text

if TYPE_CHECKING:
    from tests.simulator.knobs import Knobs

OPERATION_STATUSES = frozenset({"PENDING", "RUNNING", "SUCCESS", "FAIL"})


@dataclass(slots=True, eq=False)
class Operation:
    """An operation; times are microseconds since 1970."""

    id: str
    type: str
    account: str
    parameters: dict[str, Any]
    submitted_us: int
    status: str = "PENDING"
    started_us: int | None = None
    finished_us: int | None = None
    progress: int = 0
    details: dict[str, Any] | None = None
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether it has come to its end."""
        return self.finished_us is not None


def operation_json(operation: Operation, knobs: Knobs) -> dict[str, Any]:
    """Return the operation's JSON object."""
    body: dict[str, Any] = {
        "id": operation.id,
        "type": operation.type,
        "status": operation.status,
        "submitted": created_text(operation.submitted_us, knobs),
        "progress": operation.progress,
        "parameters": operation.parameters,
    }
    if operation.started_us is not None:
        body["started"] = created_text(operation.started_us, knobs)
    if operation.finished_us is not None:
        body["finished"] = created_text(operation.finished_us, knobs)
    if operation.details is not None:
        body["details"] = operation.details
    return body
