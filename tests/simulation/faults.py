"""What can go wrong, and the plan by which a seed lets it: at a time, at a point, at any await."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Literal

from daemon.flows.records import codec
from daemon.model import OffsetCommit
from tests.simulation.broker.client import Fate
from tests.simulation.loop import Process
from tests.simulation.scenario import CURSORS, GROUP, INPUT, LEDGER, VANISHING
from tests.simulation.world import Replica, SimWorld
from tests.simulator import Fault, Request
from tests.simulator.faults import Kind
from tests.simulator.items import Item
from tests.simulator.knobs import API_KEY
from tests.simulator.world import MODERATION_PROJECT

LAST_SECONDS = 50.0
POINTS = (
    *("init sent", "init served", "committed served", "offsets served", "fetch served", "connect sent"),
    *("add_offset intent sent", "add_offset intent served", "end intent sent", "end intent served"),
    *("produce settle sent", "produce settle served", "add_offset settle served"),
    *("end settle sent", "end settle served"),
    *("produce results sent", "produce results served", "end results sent", "end results served"),
    *("post begun", "post half", "post sent", "post served", "list served", "get served"),
    *("join served", "sync served", "heartbeat served"),
)
UPLOAD_POINTS = ("end intent served", "post begun", "post half", "post sent")
# Of those that strike there only.
_POINTS_OF = {"freeze_upload": UPLOAD_POINTS, "kill_upload": (*UPLOAD_POINTS[1:], "post served")}
Act = Callable[[SimWorld, Random, Replica], None]


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault.

    Attributes:
        name: of the fault; what is counted.
        at: from when on, in virtual seconds.
        point: with `passes`, the point whose so-many-th passing sets it off; "" for the time alone.
        awaits: so many callbacks of the replica later; None for at once.
    """

    name: str
    at: float
    point: str
    passes: int
    awaits: int | None


def plan(rng: Random, count: int, only: Sequence[str] = ()) -> list[Planned]:
    """Draw at most so many faults; of these names, if there are any."""
    names = [name for name in FAULTS if not only or name in only]
    weights = [FAULTS[name][0] for name in names]
    return [
        Planned(
            name,
            rng.uniform(0, LAST_SECONDS) if rng.random() < 0.5 else rng.uniform(0, 20),
            rng.choice(_POINTS_OF.get(name, POINTS)) if name in _POINTS_OF or rng.random() < 0.5 else "",
            rng.randint(1, 12),
            rng.randrange(400) if rng.random() < 0.3 else None,
        )
        for name in rng.choices(names, weights, k=rng.randint(count // 3, count))
    ]


class Injector:
    """Lets a plan happen to a world.

    Args:
        world: whom it happens to.
        rng: for what the plan leaves open.
    """

    def __init__(self, world: SimWorld, rng: Random) -> None:
        self._world = world
        self._rng = rng
        self._armed: dict[str, list[tuple[Planned, int]]] = {}
        self._healed = False

    def begin(self, planned: list[Planned]) -> None:
        """Set everything up."""
        self._world.watcher = self._watch
        for fault in planned:
            self._world.loop.world.call_later(fault.at, self._arm, fault)

    def _arm(self, fault: Planned) -> None:
        if fault.point:
            self._armed.setdefault(fault.point, []).append((fault, fault.passes))
        else:
            self._light(fault, self._rng.choice(self._world.replicas))

    def _watch(self, process: Process, point: str) -> None:
        armed = self._armed.get(point)
        if not armed:
            return
        self._armed[point] = [(fault, left - 1) for fault, left in armed if left > 1]
        replica = next((each for each in self._world.replicas if each.process is process), None)
        for fault, left in armed:
            if left == 1 and replica is not None:
                self._light(fault, replica)

    def _light(self, fault: Planned, replica: Replica) -> None:
        strike = partial(self._strike, fault, replica)
        if fault.awaits is None:
            strike()
        else:
            replica.process.fuse = (fault.awaits, strike)

    def _strike(self, fault: Planned, replica: Replica) -> None:
        if self._healed:
            return
        where = f" at {fault.point}" if fault.point and fault.awaits is None else ""
        self._world.trace.note(replica.process, f"fault {fault.name}{where}", fault.point)
        FAULTS[fault.name][1](self._world, self._rng, replica)

    def heal(self) -> None:
        """No fault from now on, and none that goes on."""
        world, self._healed = self._world, True
        world.trace.note(None, "healed")
        world.toloka.faults.clear()
        world.put_offsets_back()
        world.weather.refusing = False
        world.weather.hold_next_seconds = 0.0
        world.injected.fates.clear()
        world.injected.dying_readers = world.injected.dying_members = 0
        if not world.cluster.up:
            world.cluster.come_up(0.5)
        for replica in world.replicas:
            replica.clock.wall_offset = 0.0
            world.thaw(replica.process)


# --- replicas -------------------------------------------------------------------------------------------


def _kill(world: SimWorld, rng: Random, replica: Replica) -> None:
    world.kill(replica, rng.choice((0.2, 2.0, 20.0)))


def _kill_all(world: SimWorld, rng: Random, _replica: Replica) -> None:
    for replica in world.replicas:
        world.kill(replica, rng.choice((0.2, 2.0, 20.0)))


def _kill_for_good(world: SimWorld, _rng: Random, replica: Replica) -> None:
    world.kill(replica, 90.0)


def _freeze(world: SimWorld, rng: Random, replica: Replica) -> None:
    settings = world.scenario.settings
    session, quarantine = settings.kafka.session_timeout_seconds, settings.submit.quarantine_seconds
    world.freeze(replica, rng.choice((1.0, session * 0.8, session + 3, 35.0, quarantine + 5)))


def _freeze_upload(world: SimWorld, _rng: Random, replica: Replica) -> None:
    """Longer than anybody waits for its request."""
    world.freeze(replica, world.scenario.settings.submit.quarantine_seconds + 5)


def _terminate(world: SimWorld, rng: Random, replica: Replica) -> None:
    world.terminate(replica, rng.choice((0.2, 5.0)))


def _wall_step(_world: SimWorld, rng: Random, replica: Replica) -> None:
    replica.clock.wall_offset += rng.choice((-3600.0, -30.0, 7.0, 3600.0))


# --- Kafka ----------------------------------------------------------------------------------------------


FATES: tuple[Fate, ...] = (
    "unsent",
    "unanswered",
    "late",
    "refused",
    "denied",
    "torn",
    "lost",
    "forgotten",
)


def _broker_restart(world: SimWorld, rng: Random, _replica: Replica) -> None:
    world.cluster.go_down()
    world.loop.world.call_later(rng.choice((0.3, 3.0, 12.0, 28.0, 45.0)), _broker_back, world, rng)


def _broker_back(world: SimWorld, rng: Random) -> None:
    if not world.cluster.up:
        world.cluster.come_up(rng.choice((0.1, 2.0, 10.0, 25.0)))


def _loading(world: SimWorld, rng: Random, _replica: Replica) -> None:
    world.cluster.load(rng.choice((0.5, 5.0, 22.0)))


def _commit_fate(world: SimWorld, rng: Random, _replica: Replica) -> None:
    world.injected.fates += rng.choices(FATES, k=rng.randint(1, 2))


def _rebalance(world: SimWorld, rng: Random, _replica: Replica) -> None:
    world.cluster.groups.expel(rng.choice((GROUP, f"{GROUP}.collect")))


def _offset_lost(world: SimWorld, rng: Random, _replica: Replica) -> None:
    """The group's offset expires, and somebody puts it back by hand; until then who takes over must hold."""
    partition = rng.randrange(world.scenario.partitions[INPUT])
    mark = codec.mark_key(INPUT, partition)
    marked = any(r.key == mark for log in world.cluster.topics[LEDGER] for r in log.committed())
    # Before the first batch is announced nothing shows that there was an offset.
    if marked and (lost := world.cluster.groups.forget_offset(GROUP, INPUT, partition)) is not None:
        world.lost_offsets.append(OffsetCommit(GROUP, INPUT, partition, lost.offset, lost.metadata))
        world.loop.world.call_later(rng.uniform(2, 25), world.put_offsets_back)


def _reader_dies(world: SimWorld, rng: Random, _replica: Replica) -> None:
    world.injected.dying_readers += rng.randint(1, 4)


def _member_dies(world: SimWorld, _rng: Random, _replica: Replica) -> None:
    world.injected.dying_members += 1


def _compact(world: SimWorld, rng: Random, _replica: Replica) -> None:
    for log in (*world.cluster.topics[LEDGER], *world.cluster.topics[CURSORS]):
        log.compact(rng.randint(0, log.high_watermark))


# --- Toloka ---------------------------------------------------------------------------------------------


def _latest(world: SimWorld) -> float:
    """How much later than sent a request may take effect: the quarantine rests on this."""
    settings = world.scenario.settings
    fresh = min(settings.submit.request_timeout_seconds, settings.kafka.session_timeout_seconds)
    return settings.submit.quarantine_seconds - fresh - 5.0


def _delay(world: SimWorld, seconds: float) -> float:
    """So much later may a request take effect that has arrived: one that was held on its way, too."""
    weather = world.weather
    delay_seconds = min(seconds, _latest(world) - weather.longest_hold_seconds)
    weather.longest_delay_seconds = max(weather.longest_delay_seconds, delay_seconds)
    return delay_seconds


def _answer_lost(world: SimWorld, rng: Random, _replica: Replica) -> None:
    kinds: tuple[Kind, ...] = ("drop", "hang", "status", "drop_answer", "truncated", "wrong_type")
    styles: tuple[Literal["empty", "html", "json"], ...] = ("empty", "html", "json")
    world.toloka.faults.add(
        Fault(
            rng.choice(kinds),
            ("bulk",),
            times=rng.randint(1, 3),
            committed=rng.random() < 0.6,
            status=rng.choice((500, 502, 503, 504)),
            style=rng.choice(styles),
            reset=rng.random() < 0.5,
        )
    )


def _doubt_after_doubt(world: SimWorld, rng: Random, _replica: Replica) -> None:
    """A request is lost, and what is sent in its place takes effect late."""
    times, delay_seconds = rng.randint(1, 3), _delay(world, rng.uniform(0.3, 1.0) * _latest(world))
    world.toloka.faults.add(
        Fault("drop_request", ("bulk",), times=times),
        Fault("late_commit", ("bulk",), times=3, delay_seconds=delay_seconds, hangs=rng.random() < 0.5),
    )


def _one_after_another(world: SimWorld, rng: Random, _replica: Replica) -> None:
    """Each of the next requests meets a fate of its own, whatever became of the one before it."""
    late = _delay(world, rng.uniform(0.1, 1.0) * _latest(world))
    fates = (
        Fault("hang", ("bulk",), times=1),
        Fault("hang", ("bulk",), times=1, committed=True),
        Fault("drop", ("bulk",), times=1),
        Fault("drop", ("bulk",), times=1, committed=True),
        Fault("late_commit", ("bulk",), times=1, delay_seconds=late),
        Fault("late_commit", ("bulk",), times=1, delay_seconds=late, hangs=True),
        Fault("slow", ("bulk",), times=1, delay_seconds=_delay(world, 2.0)),
        *(Fault("status", ("bulk",), times=1, status=status, style="json") for status in (429, 413, 400)),
    )
    world.toloka.faults.add(*rng.choices(fates, k=rng.randint(2, 6)))


def _no_after_doubt(world: SimWorld, rng: Random, _replica: Replica) -> None:
    """An answer is lost, and what is sent next is refused."""
    status = rng.choice((429, 403, 409, 400, 413))
    world.toloka.faults.add(
        Fault("drop_answer", ("bulk",), times=rng.randint(1, 2), reset=rng.random() < 0.5),
        Fault("status", ("bulk",), times=rng.randint(1, 3), status=status, style="json"),
    )


def _wrong_ids(world: SimWorld, rng: Random, _replica: Replica) -> None:
    kind: Kind = rng.choice(("missing_id", "extra_id", "repeated_id"))
    world.toloka.faults.add(Fault(kind, ("bulk",), times=rng.randint(1, 3)))


def _request_cut(world: SimWorld, rng: Random, _replica: Replica) -> None:
    world.toloka.faults.add(
        Fault("drop_request", ("bulk",), times=rng.randint(1, 3), reset=rng.random() < 0.5)
    )


def _late_commit(world: SimWorld, rng: Random, _replica: Replica) -> None:
    delay_seconds = _delay(world, rng.uniform(0.1, 1.0) * _latest(world))
    hangs = rng.random() < 0.5
    world.toloka.faults.add(
        Fault("late_commit", ("bulk",), times=rng.randint(1, 2), delay_seconds=delay_seconds, hangs=hangs)
    )


def _held_packet(world: SimWorld, rng: Random, _replica: Replica) -> None:
    weather, longest = world.weather, _latest(world)
    hold_seconds = min(rng.uniform(0.1, 1.0) * longest, longest - weather.longest_delay_seconds)
    weather.hold_next_seconds = hold_seconds
    weather.longest_hold_seconds = max(weather.longest_hold_seconds, hold_seconds)


def _slow(world: SimWorld, rng: Random, _replica: Replica) -> None:
    operations = rng.choice((("bulk",), ("list",), ()))
    delay_seconds = _delay(world, rng.choice((1.0, 8.0, 25.0)))
    committed = rng.random() < 0.5
    world.toloka.faults.add(
        Fault("slow", operations, times=rng.randint(1, 4), delay_seconds=delay_seconds, committed=committed)
    )


def _throttled(world: SimWorld, rng: Random, _replica: Replica) -> None:
    payload = rng.choice((None, None, {"interval": "MIN"}))
    fault = Fault(
        "status",
        rng.choice((("bulk",), ("list",), ())),
        for_seconds=rng.choice((1.0, 5.0, 15.0)),
        status=429,
        style="json",
        code="TOO_MANY_REQUESTS",
        payload=payload,
        retry_after=rng.choice(("", "1", "7")),
    )
    world.toloka.faults.add(fault)


def _refused(world: SimWorld, rng: Random, _replica: Replica) -> None:
    status = rng.choice((401, 403, 404, 409, 307))
    kind: Kind = "redirect" if status == 307 else "status"
    operations = rng.choice((("bulk",), ("list",), ("bulk", "list", "item", "project")))
    seconds = rng.choice((2.0, 20.0))
    world.toloka.faults.add(Fault(kind, operations, for_seconds=seconds, status=status, style="json"))


def _too_large(world: SimWorld, rng: Random, _replica: Replica) -> None:
    world.toloka.faults.add(Fault("status", ("bulk",), times=rng.randint(1, 2), status=413, style="json"))


def _outage(world: SimWorld, rng: Random, _replica: Replica) -> None:
    seconds = rng.choice((3.0, 20.0, 40.0))
    if rng.random() < 0.4:
        world.weather.refusing = True
        world.loop.world.call_later(seconds, _accept, world)
    else:
        kind: Kind = rng.choice(("status", "hang", "drop"))
        world.toloka.faults.add(Fault(kind, for_seconds=seconds, style="html"))


def _accept(world: SimWorld) -> None:
    world.weather.refusing = False


def _listing_fails(world: SimWorld, rng: Random, _replica: Replica) -> None:
    kind: Kind = rng.choice(("status", "drop", "hang", "truncated", "wrong_type", "duplicate_keys"))
    seconds = rng.choice((3.0, 15.0, 40.0))
    world.toloka.faults.add(Fault(kind, ("list",), for_seconds=seconds, probability=rng.choice((0.3, 1.0))))


def _pages_lead_nowhere(world: SimWorld, rng: Random, _replica: Replica) -> None:
    kind: Kind = rng.choice(("empty_page", "same_page"))
    world.toloka.faults.add(Fault(kind, ("list",), times=rng.randint(1, 12)))


def _item_fails(world: SimWorld, rng: Random, _replica: Replica) -> None:
    """An item is not told, or once not known although it is there."""
    if rng.random() < 0.3 and not world.injected.unknown:
        world.injected.unknown = True
        world.toloka.faults.add(Fault("status", ("item",), times=1, status=404, style="json"))
        return
    world.toloka.faults.add(
        Fault(rng.choice(("status", "drop")), ("item", "project"), times=rng.randint(1, 5))
    )


def _settled(world: SimWorld) -> list[Item]:
    """Items that the ledger knows; what goes while it is in doubt looks as if it had never been there."""
    world.toloka.advance()
    known = {record.key for log in world.cluster.topics[LEDGER] for record in log.committed()}
    return [item for item in world.toloka.record if not item.deleted and item.id.encode() in known]


def _vanish(world: SimWorld, rng: Random, _replica: Replica) -> None:
    """Some items are deleted, whatever their status; only ever those made for it."""
    there = [item for item in _settled(world) if VANISHING in str(item.input_data.get("text"))]
    for item in rng.sample(there, min(len(there), 3)):
        world.toloka.lifecycle.delete(item)


def _archive(world: SimWorld, rng: Random, _replica: Replica) -> None:
    """The last finished items are archived: a cursor may stand on one."""
    ended = [item for item in _settled(world) if item.status == "COMPLETED"]
    for item in ended[-rng.randint(1, 3) :]:
        world.toloka.lifecycle.archive(item)


def _strangers(world: SimWorld, rng: Random, _replica: Replica) -> None:
    """Somebody else creates items in our project."""
    items = b",".join(b'{"text":"foreign %d"}' % rng.getrandbits(32) for _ in range(rng.randint(1, 5)))
    path = f"/api/app/v0/app-projects/{MODERATION_PROJECT}/items/bulk"
    headers = {"Authorization": f"ApiKey {API_KEY}", "Content-Type": "application/json"}
    world.toloka.handle(Request("POST", path, "", headers, b'{"items":[' + items + b"]}"))


# By name: how often it is drawn, relative to the others, and what it does.
FAULTS: dict[str, tuple[float, Act]] = {
    "kill": (6, _kill),
    "kill_all": (1, _kill_all),
    "kill_for_good": (1, _kill_for_good),
    "freeze": (5, _freeze),
    "terminate": (2, _terminate),
    "wall_step": (1, _wall_step),
    "freeze_upload": (2, _freeze_upload),
    "kill_upload": (2, _kill),
    "broker_restart": (2, _broker_restart),
    "coordinator_loading": (1, _loading),
    "commit_fate": (4, _commit_fate),
    "offset_lost": (0.7, _offset_lost),
    "rebalance": (1.5, _rebalance),
    "reader_dies": (1, _reader_dies),
    "member_dies": (1, _member_dies),
    "compaction": (1.5, _compact),
    "answer_lost": (5, _answer_lost),
    "doubt_after_doubt": (1, _doubt_after_doubt),
    "one_after_another": (3, _one_after_another),
    "no_after_doubt": (1, _no_after_doubt),
    "wrong_ids": (1, _wrong_ids),
    "request_cut": (1, _request_cut),
    "late_commit": (3, _late_commit),
    "held_packet": (1.5, _held_packet),
    "slow": (1.5, _slow),
    "throttled": (1.5, _throttled),
    "refused": (1, _refused),
    "too_large": (0.7, _too_large),
    "outage": (1.5, _outage),
    "listing_fails": (1.5, _listing_fails),
    "pages_lead_nowhere": (1, _pages_lead_nowhere),
    "item_fails": (0.7, _item_fails),
    "vanish": (1, _vanish),
    "archive": (1, _archive),
    "strangers": (1.5, _strangers),
}
