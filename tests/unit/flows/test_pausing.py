"""An operator's word in the cursor topic shuts and opens a replica's doors."""

import asyncio

from daemon.flows.gate import Gate
from daemon.flows.pausing import Pausing
from daemon.flows.records import orders
from tests.doubles import CURSORS, MemoryKafka, fresh_holds, in_virtual_time, seeded


class Bench:
    """Two doors, and who shuts them."""

    def __init__(self) -> None:
        self.kafka = MemoryKafka.usual()
        self.holds, metrics = fresh_holds()
        self.gates = {name: Gate(name, self.holds, seeded(), metrics) for name in ("submit", "collect")}
        self.pausing = Pausing(self.kafka, CURSORS, self.gates, seeded())
        self.stopping = asyncio.Event()

    def say(self, flow: str, value: bytes | None) -> None:
        """As `tolokad pause` and `resume` do."""
        self.kafka.put(CURSORS, value, 0, key=orders.pause_key(flow))

    async def is_open(self, flow: str) -> bool:
        """Whether a way passes the door within a few seconds."""
        try:
            async with asyncio.timeout(5):
                await self.gates[flow].wait(asyncio.Event())
        except TimeoutError:
            return False
        return True

    def shown(self) -> list[tuple[str, str]]:
        """What is held, and why."""
        return [(hold.flow, hold.reason) for hold in self.holds]


@in_virtual_time
async def test_nobody_passes_before_it_is_known() -> None:
    """A flow that was paused before the start must not begin; until then nothing is shown as held."""
    bench = Bench()
    assert not await bench.is_open("submit")
    assert bench.shown() == []


@in_virtual_time
async def test_a_pause_holds_one_flow_until_it_is_taken_back() -> None:
    """Said before the start or later, it is shown; the other flow goes on, and this one in the end."""
    bench = Bench()
    bench.say("submit", b"{}")
    running = asyncio.create_task(bench.pausing.run(bench.stopping))
    assert (await bench.is_open("submit"), await bench.is_open("collect")) == (False, True)
    assert bench.shown() == [("submit", "paused")]
    bench.say("collect", b"{}")
    bench.say("submit", None)
    await asyncio.sleep(2)
    assert (await bench.is_open("submit"), await bench.is_open("collect")) == (True, False)
    assert bench.shown() == [("collect", "paused")]
    bench.stopping.set()
    await running
