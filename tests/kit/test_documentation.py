"""The examples of config/commands.md, carried out one after the other on the topics that they speak of."""

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.flows import codec
from daemon.model import Append, Cursor, Intent
from tests.kafka.fixtures import Cluster
from tests.kit.commands import tolokad
from tests.kit.planting import CREDENTIAL, Plot
from tests.simulator.serving import spawn
from tests.simulator.world import MODERATION_PROJECT

PAGE = Path(__file__).parents[2] / "config" / "commands.md"
pytestmark = pytest.mark.timeout(240)
# The page calls the group `demo`. An age goes on; clocks and releases of Kafka differ.
CHANGING = re.compile(r"\d+ s$|[+-]\d+ s from|Kafka [\d.]+$", re.MULTILINE)
WITH_TOLOKA = ("check", "dry-run", "resolve")


def examples() -> list[tuple[str, str]]:
    """Each command of the page with what it prints there."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    told = [part.partition("\n") for block in blocks for part in block.split("$ tolokad ")[1:]]
    return [(command, printed) for command, _, printed in told]


async def plotted(kafka: Cluster) -> Plot:
    """One item that is open, two dead letters, nine results, and where the collector stands."""
    plot = Plot(kafka.bootstrap_servers, "http://127.0.0.1:9", partitions=1)
    await plot.lay_out()
    sources = plot.sources(b'{"text":"%d"}' % number for number in range(12))
    await plot.feed(sources)
    await plot.write(plot.opened(sources[:1]))
    await plot.write([plot.dead_letter(sources[1], "TOO_LARGE"), plot.dead_letter(sources[2], "NOT_JSON")])
    await plot.write(plot.result(source) for source in sources[3:])
    cursor = Cursor("FfXPKka0llJLcl4z1QVk", datetime(2026, 11, 24, 16, tzinfo=UTC), 9)
    await plot.write(
        [Append(plot.topic("cursors"), 0, MODERATION_PROJECT.encode(), codec.cursor_value(cursor))]
    )
    await plot.settle()
    return plot


async def in_doubt(kafka: Cluster, toloka: str) -> Plot:
    """Six records: of the first three nobody knows what became, one of the others is no item."""
    plot = Plot(kafka.bootstrap_servers, toloka, partitions=1)
    await plot.lay_out()
    values = [b'{"text":"%d"}' % number for number in range(5)]
    await plot.feed(plot.sources([*values, b"no JSON"]))
    moment = datetime(2026, 11, 24, 16, tzinfo=UTC)
    await plot.settle(Intent("some-attempt", 3, moment, moment))
    return plot


async def test_examples(kafka: Cluster) -> None:
    """Each command prints what the page says it does."""
    with spawn("--credentials", CREDENTIAL) as toloka:
        settled, open_question = await plotted(kafka), await in_doubt(kafka, toloka)
        names = {kafka.bootstrap_servers: "127.0.0.1:9092", toloka: "http://127.0.0.1:8000"}
        assert len(examples()) == 17
        for command, printed in examples():
            plot = open_question if command.startswith(WITH_TOLOKA) else settled
            ended = await tolokad(plot.environment, *shlex.split(command))
            said = (ended.err + ended.out).replace(plot.group, "demo")
            for name, shown in names.items():
                said = said.replace(name, shown)
            assert CHANGING.sub("", said) == CHANGING.sub("", printed), command
