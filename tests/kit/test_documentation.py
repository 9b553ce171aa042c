"""The examples of config/commands.md, carried out one after the other on the topics that they speak of."""

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.flows import codec
from daemon.model import Append, Cursor
from tests.kafka.fixtures import Cluster
from tests.kit.commands import tolokad
from tests.kit.planting import Plot
from tests.simulator.world import MODERATION_PROJECT

PAGE = Path(__file__).parents[2] / "config" / "commands.md"
pytestmark = pytest.mark.timeout(240)
# The page calls the group `demo`; an age goes on, and a cursor that is set back has no item.
AGE = re.compile(r"\d+ s$", re.MULTILINE)


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


async def test_examples(kafka: Cluster) -> None:
    """Each command prints what the page says it does."""
    plot = await plotted(kafka)
    assert len(examples()) == 13
    for command, printed in examples():
        ended = await tolokad(plot.environment, *shlex.split(command))
        said = (ended.err + ended.out).replace(plot.group, "demo")
        assert AGE.sub("", said) == AGE.sub("", printed), command
