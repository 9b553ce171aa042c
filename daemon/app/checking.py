"""`tolokad check`: one line a thing, in order, with a tick or the way out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from daemon.app.kit.checks import Check
from daemon.app.kit.kafka_checks import kafka_checks
from daemon.app.kit.toloka_checks import toloka_checks
from daemon.errors import StartError
from daemon.settings import load


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, in order."""

    checks: tuple[Check, ...]

    @property
    def exit_code(self) -> int:
        """That of the first failure; 0 where there is none."""
        return next((check.exit_code for check in self.checks if not check.ok), 0)

    def as_json(self) -> Mapping[str, object]:
        """The answer of `check --json`."""
        shown = [{"name": c.name, "ok": c.ok, "message": c.message} for c in self.checks]
        return {"ok": self.exit_code == 0, "checks": shown}

    def lines(self) -> Iterator[str]:
        """The answer for people."""
        for check in self.checks:
            for line in check.message.splitlines() or [""]:
                yield f"{'✓' if check.ok else '✗'} {check.name}: {line}"


async def check(environ: Mapping[str, str], *, connect: bool) -> Report:
    """Look at the settings and, if asked to, at Kafka and Toloka; what stands on a failure is left out."""
    try:
        settings = load(environ)
    except StartError as error:
        return Report((Check.failed("settings", error),))
    checks = [Check("settings", "all values are usable")]
    if connect:
        checks += [found async for found in kafka_checks(settings)]
        checks += [found async for found in toloka_checks(settings)]
    return Report(tuple(checks))
