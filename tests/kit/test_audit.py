"""`tolokad audit` among 100,000 records: what is wrong is found, one thing after the other."""

import json
from collections.abc import Iterator

import pytest

from tests.kafka.fixtures import Cluster
from tests.kit.commands import tolokad
from tests.kit.planting import CREDENTIAL, Plot, submit
from tests.simulator.serving import spawn

RECORDS = 100_000
OPEN, DEAD, TOMBSTONES = 50, 100, 30
CLEAN = {
    "ok": True,
    "inputs": RECORDS,
    "skipped": TOMBSTONES,
    "results": RECORDS - OPEN - DEAD - TOMBSTONES,
    "dead_letters": DEAD,
    "open": OPEN,
    "missing": [],
    "twice": [],
    "unknown": [],
}
# Writing and reading so much takes seconds where nobody else needs the machine.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def toloka() -> Iterator[str]:
    """The address of a simulated Toloka."""
    with spawn("--credentials", CREDENTIAL) as url:
        yield url


def value(number: int) -> bytes | None:
    """The value of an input record."""
    return None if number < TOMBSTONES else json.dumps({"id": f"n{number}", "text": "so so"}).encode()


@pytest.fixture
async def plot(kafka: Cluster, toloka: str) -> Plot:
    """Topics in which every record is accounted for."""
    plot = Plot(kafka.bootstrap_servers, toloka)
    await plot.lay_out()
    sources = plot.sources(value(number) for number in range(RECORDS))
    await plot.feed(sources)
    items = sources[TOMBSTONES:]
    opened, dead, done = items[:OPEN], items[OPEN : OPEN + DEAD], items[OPEN + DEAD :]
    await plot.write(plot.opened(opened))
    await plot.write(plot.dead_letter(source) for source in dead)
    await plot.write(plot.result(source) for source in done)
    await plot.settle()
    return plot


async def test_finds_what_is_wrong(plot: Plot, toloka: str) -> None:
    """A lost record, a doubled result, a dead letter of nothing and an orphan are found; before, nothing."""
    clean = await tolokad(plot.environment, "audit", "--json", measured=True)
    assert (clean.code, json.loads(clean.out)) == (0, CLEAN), clean.err
    assert clean.most_megabytes < 200

    doubled = plot.sources([value(RECORDS)])[0]
    await plot.feed([doubled])
    await plot.settle()
    lost = await tolokad(plot.environment, "audit", "--json")
    assert lost.code == 1
    expected = CLEAN | {"ok": False, "inputs": RECORDS + 1}
    assert lost.json == expected | {"missing": [doubled.place]}

    await plot.write([plot.result(doubled), plot.result(doubled)])
    expected |= {"results": CLEAN["results"] + 2, "twice": [doubled.place]}  # type: ignore[operator] # a number
    assert (await tolokad(plot.environment, "audit", "--json")).json == expected

    nowhere = plot.sources([b"{}"] * 2)[1]
    await plot.write([plot.dead_letter(nowhere)])
    unknown = await tolokad(plot.environment, "audit", "--json")
    assert unknown.json == expected | {"unknown": [nowhere.place]}

    await submit(toloka, json.loads(value(RECORDS - 1) or b""))
    orphan = await tolokad(plot.environment, "audit", "--toloka", "--json", measured=True)
    assert orphan.code == 1
    names = {"item_id", "status", "created_at"}
    assert [set(found) for found in json.loads(orphan.out)["orphans"]] == [names]
    assert orphan.most_megabytes < 200
