"""`tolokad check`: one line a thing, in order, with a tick or the way out."""

from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from daemon.app.services import open_service
from daemon.app.starting import insist_supported
from daemon.app.world import connect_kafka, connect_toloka
from daemon.errors import StartError
from daemon.metrics import Metrics
from daemon.settings import Settings, load


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, in order; `exit_code` is that of the first failure."""

    checks: tuple[Check, ...]
    exit_code: int

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
    checks: list[Check] = []
    try:
        settings = load(environ)
        insist_supported(settings)
        checks.append(Check("settings", ok=True, message="all values are usable"))
    except StartError as error:
        return Report((Check("settings", ok=False, message=str(error)),), error.exit_code)
    if not connect:
        return Report(tuple(checks), 0)
    codes = [await _kafka(settings, checks), await _toloka(settings, checks)]
    return Report(tuple(checks), next((code for code in codes if code), 0))


async def _kafka(settings: Settings, checks: list[Check]) -> int:
    async with AsyncExitStack() as stack:
        try:
            _, topics = await connect_kafka(settings, Metrics(), stack)
        except StartError as error:
            checks.append(Check("kafka", ok=False, message=str(error)))
            return error.exit_code
        shown = ", ".join(f"{topic.name} ({topic.partitions})" for topic in topics.values())
        checks.append(Check("kafka", ok=True, message=f"connected; topics and their partitions: {shown}"))
    return 0


async def _toloka(settings: Settings, checks: list[Check]) -> int:
    async with AsyncExitStack() as stack:
        try:
            metrics = Metrics()
            endpoint = connect_toloka(settings, metrics, lambda _: None)
            service = await open_service(settings, endpoint, metrics, stack)
        except StartError as error:
            checks.append(Check("toloka", ok=False, message=str(error)))
            return error.exit_code
        checks.append(Check("toloka", ok=True, message=service.about))
    return 0
