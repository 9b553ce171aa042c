"""Short variants of `make chaos`, `make faults` and `make outage`, and that a schedule replays."""

import asyncio
from pathlib import Path

import pytest
from rich.console import Console

from tests.canary import CANARY, search
from tests.chaos.figures import Figures
from tests.chaos.late_items import late_items
from tests.chaos.lost_answers import LATE, LOST, lost_answers
from tests.chaos.outage import OUTAGES, outage
from tests.chaos.running import play
from tests.chaos.schedule import BLOWS, KINDS, scheduled
from tests.chaos.stage import broker
from tests.kafka.broker import QUICK_JAVA_OPTIONS
from tests.system.conftest import Deploy

ITEMS = 1_000
OUTAGE_SECONDS = 40.0
# Ten replicas share two cores here; by itself it is 15 s.
SOON_SECONDS = 40.0
pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("unmeasured")]


def conclude(*ended: Figures) -> None:
    """Show the figures and insist that nothing is wrong."""
    for figures in ended:
        Console(soft_wrap=True).print(figures.table())
    assert [problem for figures in ended for problem in figures.problems] == []


def test_a_seed_always_means_the_same() -> None:
    """A failure can be replayed by its seed, and 200 seeds hold every kind of blow."""
    assert scheduled(17) == scheduled(17)
    schedules = [scheduled(seed) for seed in range(200)]
    assert {blow.kind for schedule in schedules for blow in schedule.blows} == set(KINDS)
    assert max(len(schedule.blows) for schedule in schedules) == BLOWS
    killed = {schedule.version for schedule in schedules for b in schedule.blows if b.kind == "broker_killed"}
    assert killed == {"3.9.2", "4.3.1"}


@pytest.mark.fault(4, 11, 25)
async def test_a_schedule(tmp_path: Path) -> None:
    """One seeded schedule of blows on three replicas and their broker: nothing lost, nothing twice."""
    schedule = scheduled(3)
    async with broker(version=schedule.version, java_options=QUICK_JAVA_OPTIONS) as kafka:
        # Patient: how soon all is settled is what `make chaos` insists on, not a test beside others.
        ended = await play(schedule, kafka, tmp_path / "schedule", settled_seconds=200)
    print(f"{ended.faults}; settled after {ended.settled_seconds:.1f} s; {ended.searched}")
    assert ended.problems == ()


@pytest.mark.fault(33, 34, 35, 43, 44, 52, 53, 55)
async def test_the_named_runs(deploy: Deploy) -> None:
    """Lost answers, late commits, late items, a Toloka away or throttling, each on its own, all at a time.

    None lost, none twice, none paid twice; no storm of requests, no restart, no rebalance.
    """
    lost = lost_answers(deploy, "Every tenth bulk answer is lost after the commit", LOST, ITEMS)
    late = lost_answers(deploy, "Every tenth bulk request is cut, and committed 3 s later", LATE, ITEMS)
    items = late_items(deploy, ITEMS, late_seconds=5)
    away = (
        outage(deploy, OUTAGES[name], OUTAGE_SECONDS, SOON_SECONDS) for name in ("black-hole", "throttled")
    )
    conclude(*await asyncio.gather(lost, late, items, *away))


@pytest.mark.parametrize("before", [0, 1 << 20, (1 << 20) - 9])
def test_the_canary_is_found(tmp_path: Path, before: int) -> None:
    """Wherever in a file it stands, also where two reads of it meet."""
    clean, spoilt = tmp_path / "clean", tmp_path / "spoilt"
    clean.write_bytes(b"x" * 1000)
    spoilt.write_bytes(b"x" * before + CANARY.encode() + b"x")
    found = search([tmp_path])
    assert (found.files, found.size) == (2, 1000 + before + len(CANARY) + 1)
    assert found.hits == (str(spoilt),)
