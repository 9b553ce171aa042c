"""What `tolokad check` says of one thing: a tick, or the way out and what a start would end with."""

from collections.abc import Iterator
from dataclasses import dataclass

from daemon.errors import ConfigurationError, NotPermittedAtStart, StartError

CONFIGURATION, NOT_PERMITTED = ConfigurationError.exit_code, NotPermittedAtStart.exit_code


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `exit_code` where it is not as it must be."""

    name: str
    message: str
    exit_code: int = 0

    @property
    def ok(self) -> bool:
        """It is as it must be."""
        return self.exit_code == 0

    def lines(self) -> Iterator[str]:
        """The answer for people."""
        for line in self.message.splitlines() or [""]:
            yield f"{'✓' if self.ok else '✗'} {self.name}: {line}"

    @classmethod
    def failed(cls, name: str, error: StartError) -> "Check":
        """What a start would end with."""
        return cls(name, str(error), error.exit_code)
