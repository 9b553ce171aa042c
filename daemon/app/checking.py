"""`tolokad check`: one line a thing, in order, with a tick or the way out."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
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


async def check(
    environ: Mapping[str, str], *, connect: bool, tell: Callable[[Check], object] = bool
) -> Report:
    """Look at the settings and, if asked to, at Kafka and Toloka; what stands on a failure is left out.

    `tell` hears of each thing once it is found: what is away is waited for.
    """
    found = []
    async with aclosing(_checks(environ, connect=connect)) as checks:
        async for one in checks:
            tell(one)
            found.append(one)
    return Report(tuple(found))


async def _checks(environ: Mapping[str, str], *, connect: bool) -> AsyncGenerator[Check, None]:
    try:
        settings = load(environ)
    except StartError as error:
        yield Check.failed("settings", error)
        return
    yield Check("settings", "all values are usable")
    if connect:
        for checks in (kafka_checks(settings), toloka_checks(settings)):
            async for one in checks:
                yield one
