"""The examples of config/commands.md, carried out one after the other on the topics that they speak of."""

import asyncio
import io
import os
import re
import shlex
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import pytest

from daemon.cli import main
from daemon.flows.records import codec
from daemon.model import Append, Cursor, Intent
from tests.kafka import free_port
from tests.kafka.fixtures import Cluster
from tests.kit.planting import CREDENTIAL, Plot
from tests.simulator.serving import spawn
from tests.simulator.world import MODERATION_PROJECT
from tests.system.processes import foreign_variables

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


def told(environment: Mapping[str, str], arguments: list[str]) -> str:
    """What a command prints; in this process, for to start one more for each takes longer than all else."""
    out, err = io.StringIO(), io.StringIO()
    own = {name: value for name, value in os.environ.items() if name not in foreign_variables()}
    with (
        patch.dict(os.environ, {**own, **environment}, clear=True),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        main(arguments)
    return err.getvalue() + out.getvalue()


async def test_examples(kafka: Cluster) -> None:
    """Each command prints what the page says it does."""
    with spawn("--credentials", CREDENTIAL) as toloka:
        settled, open_question = await plotted(kafka), await in_doubt(kafka, toloka)
        names = {kafka.bootstrap_servers: "127.0.0.1:9092", toloka: "http://127.0.0.1:8000"}
        # Nobody is there: the page's example of a probe is one that fails.
        port = str(free_port())
        names[f"127.0.0.1:{port}"] = "127.0.0.1:8080"
        assert len(examples()) == 20
        for line, printed in examples():
            command, _, pattern = line.partition(" | grep ")
            plot = open_question if command.startswith(WITH_TOLOKA) else settled
            environment = {**plot.environment, "TOLOKAD_HTTP__PORT": port}
            said = await asyncio.to_thread(told, environment, shlex.split(command))
            lines = said.replace(plot.group, "demo").splitlines(keepends=True)
            said = "".join(line for line in lines if pattern in line)
            for name, shown in names.items():
                said = said.replace(name, shown)
            assert CHANGING.sub("", said) == CHANGING.sub("", printed), command
