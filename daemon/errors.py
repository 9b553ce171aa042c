"""What can go wrong, told apart by who acts on it.

    TolokadError
    ├── StartError             the program ends, with `exit_code`
    │   ├── ConfigurationError   78: the operator mends a setting, a topic, a project
    │   ├── NotPermittedAtStart  77: the operator grants a right
    │   └── UnavailableAtStart   69: the orchestrator starts the program again later
    ├── Transient              this part starts over by itself, with backoff
    │   ├── Fenced               another owner may have taken over: ask the group first
    │   └── NoTopic              the brokers know no such topic
    └── Held                   going on would be wrong: wait, visibly, and look again

What a submission can come to is no error but a closed set of values: `daemon.model.Outcome`.
Anything else that is raised is a defect and ends the program with 70.
"""

from typing import ClassVar


class TolokadError(Exception):
    """The root of every error that tolokad raises on purpose."""


class StartError(TolokadError):
    """The program cannot start; the message is for the operator, without a stack trace."""

    exit_code: ClassVar[int] = 70


class ConfigurationError(StartError):
    """Settings, topics or the project are wrong; `problems` holds one sentence for each."""

    exit_code: ClassVar[int] = 78

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class NotPermittedAtStart(StartError):  # noqa: N818 - reads as what happened
    """Kafka or Toloka refuses the credential or a permission at start."""

    exit_code: ClassVar[int] = 77


class UnavailableAtStart(StartError):  # noqa: N818 - reads as what happened
    """Kafka or Toloka stayed away for as long as a start waits."""

    exit_code: ClassVar[int] = 69


class Transient(TolokadError):  # noqa: N818 - reads as what happened
    """An outside part failed or its answer is unknown: drop it, wait, start over."""


class Fenced(Transient):
    """Another writer has started since, a transaction timed out, or an operator has decided meanwhile."""


class NoTopic(Transient):
    """The brokers know no such topic: it was deleted, or they have not heard of it yet."""


class Held(TolokadError):  # noqa: N818 - reads as what happened
    """Going on would be wrong.

    Args:
        reason: one of `daemon.metrics.HOLD_REASONS`, a label of `tolokad_held`.
        detail: a sentence for the operator, without secrets.
        wait_seconds: for how long Toloka asks not to be asked again.
    """

    def __init__(self, reason: str, detail: str, wait_seconds: float = 0.0) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.wait_seconds = wait_seconds
