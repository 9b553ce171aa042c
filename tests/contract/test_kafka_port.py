"""The Kafka ports' contract, the same for the in-memory cluster and for the real adapters with a broker.

The simulation is worth as much as its Kafka: whatever it rests on is proven here against the real one.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from daemon.errors import Fenced, Held, NoTopic, Transient
from daemon.model import Append, BareRecord, Committed, OffsetCommit, Transaction
from daemon.ports import Reader
from tests.contract.kafka_port import broker, memory
from tests.contract.kafka_port.bench import Bench, Check, append, read_all, read_to
from tests.kafka.fixtures import Cluster, kafka

__all__ = ["kafka"]

Run = Callable[[Check], None]


@pytest.fixture(params=["memory", "broker"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a check on one of the two."""
    if request.param == "memory":
        return memory.run
    servers = request.getfixturevalue("kafka").bootstrap_servers
    return lambda check: broker.run(check, servers)


# --- transactions ---------------------------------------------------------------------------------------


def test_what_is_committed_together_is_read_back_whole(run: Run) -> None:
    """Keys, values, headers, tombstones and timestamps come back as written, from every partition."""

    async def check(bench: Bench) -> None:
        topic = await bench.topic(2)
        headers = (("a", b"1"), ("a", None), ("b", b""))
        first = Append(topic, 0, b"key", b"value", headers, 1_700_000_000_123)
        async with bench.kafka.writer(bench.group()) as writer:
            await writer.transact(Transaction("settle", [first, Append(topic, 1, None, None)]))
        [record] = (await read_all(bench, topic, 0)).records
        assert (record.key, record.value, tuple(record.headers)) == (b"key", b"value", headers)
        assert (record.topic, record.partition, record.offset) == (topic, 0, 0)
        assert record.timestamp == 1_700_000_000_123
        assert (await read_all(bench, topic, 1)).values == [None]

    run(check)


def test_aborted_records_are_hidden(run: Run) -> None:
    """What a killed producer left open is never read, once its successor has started."""

    async def check(bench: Bench) -> None:
        topic, name = await bench.topic(), bench.group()
        await bench.leave_open(name, [append(topic, b"lost"), append(topic, b"lost too")])
        async with bench.kafka.writer(name) as writer:
            await writer.transact(Transaction("settle", [append(topic, b"kept")]))
        assert (await read_all(bench, topic)).values == [b"kept"]

    run(check)


def test_a_successors_start_has_ended_the_predecessors_transaction(run: Run) -> None:
    """Entering a writer waits until nothing of its predecessors is open: readers get past it."""

    async def check(bench: Bench) -> None:
        topic, name = await bench.topic(), bench.group()
        await bench.leave_open(name, [append(topic, b"lost")])
        await bench.produce(topic, 0, b"behind")
        async with bench.kafka.writer(name):
            contents = await read_all(bench, topic)
        assert contents.values == [b"behind"]

    run(check)


def test_a_zombie_is_fenced(run: Run) -> None:
    """One that was succeeded cannot write any more, and nothing of its attempt is seen."""

    async def check(bench: Bench) -> None:
        topic, name = await bench.topic(), bench.group()
        async with bench.kafka.writer(name) as zombie, bench.kafka.writer(name) as successor:
            with pytest.raises(Fenced):
                await zombie.transact(Transaction("settle", [append(topic, b"stale")]))
            await successor.transact(Transaction("settle", [append(topic, b"fresh")]))
        assert (await read_all(bench, topic)).values == [b"fresh"]

    run(check)


def test_a_zombie_that_only_commits_an_offset_is_fenced(run: Run) -> None:
    """The fence holds for a transaction without records, which is what an intent is."""

    async def check(bench: Bench) -> None:
        topic, name = await bench.topic(), bench.group()
        offset = OffsetCommit(name, topic, 0, 3, "late")
        async with bench.kafka.writer(name) as zombie, bench.kafka.writer(name):
            with pytest.raises(Fenced):
                await zombie.transact(Transaction("intent", (), offset))
            assert (await bench.kafka.committed(name, topic, [0]))[0] == Committed(-1, "")

    run(check)


def test_a_writer_that_failed_is_not_used_again(run: Run) -> None:
    """After a failure every further transaction of the same writer fails, too."""

    async def check(bench: Bench) -> None:
        topic, name = await bench.topic(), bench.group()
        async with bench.kafka.writer(name) as zombie, bench.kafka.writer(name):
            with pytest.raises(Fenced):
                await zombie.transact(Transaction("settle", [append(topic, b"1")]))
            with pytest.raises(Transient):
                await zombie.transact(Transaction("settle", [append(topic, b"2")]))

    run(check)


def test_a_record_that_is_too_large_holds(run: Run) -> None:
    """It is told by name, nothing of its transaction is seen, and the next writer gets on."""

    async def check(bench: Bench) -> None:
        topic, name = await bench.topic(), bench.group()
        huge = [append(topic, b"small"), append(topic, b"x" * 2_000_000)]
        with pytest.raises(Held) as held:
            async with bench.kafka.writer(name) as writer:
                await writer.transact(Transaction("settle", huge))
        assert held.value.reason == "too_large"
        async with bench.kafka.writer(name) as writer:
            await writer.transact(Transaction("settle", [append(topic, b"fits")]))
        assert (await read_all(bench, topic)).values == [b"fits"]

    run(check)


# --- committed offsets ----------------------------------------------------------------------------------


def test_an_offset_is_read_back_with_its_metadata(run: Run) -> None:
    """After a successor's start the last committed offset is there, whatever became of the last try."""

    async def check(bench: Bench) -> None:
        topic, name = await bench.topic(), bench.group()
        async with bench.kafka.writer(name) as writer:
            await writer.transact(Transaction("intent", (), OffsetCommit(name, topic, 0, 1, "first")))
            await writer.transact(Transaction("intent", (), OffsetCommit(name, topic, 0, 1, "m" * 4000)))
        await bench.leave_open(name, [append(topic, b"lost")], OffsetCommit(name, topic, 0, 2, "lost"))
        async with bench.kafka.writer(name):
            assert await bench.kafka.committed(name, topic, [0]) == {0: Committed(1, "m" * 4000)}

    run(check)


def test_no_offset_is_minus_one(run: Run) -> None:
    """A group that never committed, or not for this partition, has the offset -1."""

    async def check(bench: Bench) -> None:
        topic, name = await bench.topic(2), bench.group()
        assert await bench.kafka.committed(name, topic, [0, 1]) == {
            0: Committed(-1, ""),
            1: Committed(-1, ""),
        }
        async with bench.kafka.writer(name) as writer:
            await writer.transact(Transaction("intent", (), OffsetCommit(name, topic, 1, 5, "")))
        async with bench.kafka.writer(name):
            found = await bench.kafka.committed(name, topic, [0, 1])
        assert found == {0: Committed(-1, ""), 1: Committed(5, "")}

    run(check)


def test_an_offset_is_not_told_while_a_transaction_may_change_it(run: Run) -> None:
    """Whoever asks waits for the end of that transaction, unless any offset will do; others are told."""

    async def check(bench: Bench) -> None:
        topic, name, other = await bench.topic(2), bench.group(), bench.group()
        async with bench.kafka.writer(other) as writer:
            await writer.transact(Transaction("intent", (), OffsetCommit(name, topic, 0, 5, "before")))
        await bench.leave_open(name, (), OffsetCommit(name, topic, 0, 7, "after"))
        assert await bench.kafka.committed(name, topic, [1]) == {1: Committed(-1, "")}
        assert await bench.kafka.committed(name, topic, [0], stable=False) == {0: Committed(5, "before")}
        asked = asyncio.ensure_future(bench.kafka.committed(name, topic, [0]))
        await asyncio.wait({asked}, timeout=0.5)
        assert not asked.done()
        async with bench.kafka.writer(name):
            assert await asked == {0: Committed(5, "before")}

    run(check)


def test_sealing_changes_nothing_that_is_decided(run: Run) -> None:
    """Records and offsets are as before; only where nothing was ever written a transaction has ended, too."""

    async def check(bench: Bench) -> None:
        topic, name = await bench.topic(2), bench.group()
        offset = OffsetCommit(name, topic, 0, 5, "noted")
        async with bench.kafka.writer(name) as writer:
            await writer.transact(Transaction("settle", [append(topic, b"kept")], offset))
        async with bench.kafka.writer(name) as successor:
            await successor.seal([(topic, 0), (topic, 1)], name)
            assert await bench.kafka.committed(name, topic, [0]) == {0: Committed(5, "noted")}
            await successor.transact(Transaction("settle", [append(topic, b"more")]))
        assert (await read_all(bench, topic, 0)).values == [b"kept", b"more"]
        assert (await read_all(bench, topic, 1)).values == []

    run(check)


def test_sealing_commits_nothing_of_a_predecessor_who_did_not(run: Run) -> None:
    """What was left open has been aborted before: neither its records nor its offset come back."""

    async def check(bench: Bench) -> None:
        topic, name = await bench.topic(), bench.group()
        await bench.leave_open(name, [append(topic, b"lost")], OffsetCommit(name, topic, 0, 7, "after"))
        async with bench.kafka.writer(name) as writer:
            await writer.seal([(topic, 0)], name)
        assert await bench.kafka.committed(name, topic, [0]) == {0: Committed(-1, "")}
        assert (await read_all(bench, topic)).values == []

    run(check)


def test_a_zombie_seals_nothing(run: Run) -> None:
    """The fence holds for it as well."""

    async def check(bench: Bench) -> None:
        topic, name = await bench.topic(), bench.group()
        async with bench.kafka.writer(name) as zombie, bench.kafka.writer(name):
            with pytest.raises(Fenced):
                await zombie.seal([(topic, 0)], name)
            with pytest.raises(Transient):
                await zombie.seal([(topic, 0)], name)

    run(check)


# --- logs and readers -----------------------------------------------------------------------------------


def test_end_offsets_lie_behind_open_transactions(run: Run) -> None:
    """They are high watermarks; a reader stays below the open transaction, until that has ended."""

    async def check(bench: Bench) -> None:
        topic, name = await bench.topic(), bench.group()
        await bench.produce(topic, 0, b"before")
        await bench.leave_open(name, [append(topic, b"open")])
        await bench.produce(topic, 0, b"behind")
        end = (await bench.kafka.end_offsets(topic))[0]
        assert end == 3
        async with bench.kafka.reader(topic, {0: 0}) as reader:
            assert [record.value for record in await reader.read(10, 5.0)] == [b"before"]
            assert not await reader.read(10, 0.5)
            assert reader.position(0) == 1
            async with bench.kafka.writer(name), asyncio.timeout(20):
                assert (await read_to(reader, 0, end)).values == [b"behind"]

    run(check)


def test_stable_offsets_stop_at_open_transactions(run: Run) -> None:
    """They tell readers held up from readers that are done; once the transaction has ended, all is stable."""

    async def check(bench: Bench) -> None:
        topic, name = await bench.topic(), bench.group()
        await bench.produce(topic, 0, b"before")
        await bench.leave_open(name, [append(topic, b"open")])
        await bench.produce(topic, 0, b"behind")
        assert (await bench.kafka.stable_offsets(topic))[0] == 1
        async with bench.kafka.writer(name):
            end = (await bench.kafka.end_offsets(topic))[0]
            assert (await bench.kafka.stable_offsets(topic))[0] == end == 4

    run(check)


def test_a_topic_that_is_not_there(run: Run) -> None:
    """It is told apart from brokers that cannot say now."""

    async def check(bench: Bench) -> None:
        for ask in (bench.kafka.start_offsets, bench.kafka.end_offsets):
            with pytest.raises(NoTopic):
                await ask("never-made")

    run(check)


def test_offsets_of_some_partitions(run: Run) -> None:
    """Others are not asked for, since one of them may have no leader; one that is not there says so."""

    async def check(bench: Bench) -> None:
        topic = await bench.topic(3)
        async with bench.kafka.writer(bench.group()) as writer:
            await writer.transact(Transaction("settle", [Append(topic, 1, None, b"a")]))
        assert await bench.kafka.partitions(topic) == {0, 1, 2}
        assert set(await bench.kafka.end_offsets(topic, [1])) == {1}
        assert await bench.kafka.start_offsets(topic, [0, 2]) == {0: 0, 2: 0}
        for ask in (bench.kafka.start_offsets, bench.kafka.end_offsets):
            with pytest.raises(Transient, match="partitions"):
                await ask(topic, [1, 7])

    run(check)


def test_offsets_at_a_time(run: Run) -> None:
    """The first record that is not older than the time; the end where all are, and in an empty log."""

    async def check(bench: Bench) -> None:
        topic = await bench.topic(2)
        stamps = [1_700_000_000_000 + second * 1000 for second in range(3)]
        appends = [Append(topic, 0, None, b"%d" % stamp, (), stamp) for stamp in stamps]
        async with bench.kafka.writer(bench.group()) as writer:
            await writer.transact(Transaction("settle", appends))
        found = [await bench.kafka.offsets_at(topic, stamps[1] + ms) for ms in (-1000, 0, 1)]
        assert found == [{0: 0, 1: 0}, {0: 1, 1: 0}, {0: 2, 1: 0}]
        # The transaction's marker is younger than its records; it is none itself.
        behind = await bench.kafka.offsets_at(topic, stamps[2] + 1)
        assert 3 <= behind[0] <= (await bench.kafka.end_offsets(topic))[0]

    run(check)


def test_positions_pass_what_is_not_for_readers(run: Run) -> None:
    """A log may end with markers and aborted records: a reader's position reaches its end nevertheless."""

    async def check(bench: Bench) -> None:
        topic, name = await bench.topic(), bench.group()
        async with bench.kafka.writer(name) as writer:
            await writer.transact(Transaction("settle", [append(topic, b"kept")]))
        await bench.leave_open(name, [append(topic, b"lost")])
        async with bench.kafka.writer(name):
            pass
        assert (await bench.kafka.end_offsets(topic))[0] == 4
        contents = await read_all(bench, topic)
        assert (contents.values, contents.position) == ([b"kept"], 4)
        assert (await read_all(bench, topic, start=1)).position == 4

    run(check)


def test_a_read_brings_no_more_than_asked_for(run: Run) -> None:
    """Records come in order, at most as many as were asked for, and none is skipped."""

    async def check(bench: Bench) -> None:
        topic = await bench.topic()
        await bench.produce(topic, 0, *(b"%d" % number for number in range(5)))
        found: list[bytes | None] = []
        async with bench.kafka.reader(topic, {0: 1}) as reader, asyncio.timeout(20):
            while len(found) < 4:
                records = await reader.read(2, 1.0)
                assert len(records) <= 2
                found += [record.value for record in records]
        assert found == [b"1", b"2", b"3", b"4"]

    run(check)


def test_an_empty_read_ends_in_time(run: Run) -> None:
    """Where nothing comes, a read comes back empty; what comes later is read later."""

    async def check(bench: Bench) -> None:
        topic = await bench.topic()
        async with bench.kafka.reader(topic, {0: 0}) as reader:
            async with asyncio.timeout(10):
                assert not await reader.read(10, 0.2)
            await bench.produce(topic, 0, b"late")
            assert [record.value for record in await reader.read(10, 10.0)] == [b"late"]

    run(check)


def test_who_reads_to_an_end_that_is_for_no_reader_waits_no_longer(kafka: Cluster) -> None:
    """The real adapter says at once that it has come there; who reads bare records waits for the next one."""

    async def check(bench: Bench) -> None:
        topic, name = await bench.topic(), bench.group()
        async with bench.kafka.writer(name) as writer:
            await writer.transact(Transaction("settle", [append(topic, b"first")]))
        async with bench.kafka.reader(topic, {0: 1}) as reader, asyncio.timeout(20):
            while reader.position(0) < 2:
                assert not await reader.read(10, 3600.0)
        async with bench.kafka.reader(topic, {0: 1}) as reader, asyncio.timeout(20):
            reading = asyncio.ensure_future(reader.read_bare(10, 3600.0))
            # A reader tells nobody where it stands.
            while reader.position(0) < 2:  # noqa: ASYNC110 - see above
                await asyncio.sleep(0.01)
            await bench.produce(topic, 0, b"next")
            assert [record.value for record in await reading] == [b"next"]

    broker.run(check, kafka.bootstrap_servers)


def test_bare_records_say_all_but_where_they_stand(run: Run) -> None:
    """As many as are asked for, in their order; where nothing comes, none in time."""

    async def check(bench: Bench) -> None:
        topic, name = await bench.topic(), bench.group()
        headers = (("name", b"value"), ("empty", None))
        async with bench.kafka.writer(name) as writer:
            whole = Append(topic, 0, b"key", b"0", headers, timestamp_ms=17)
            await writer.transact(Transaction("settle", [whole, append(topic, b"1"), append(topic, None)]))
        found: list[BareRecord] = []
        async with bench.kafka.reader(topic, {0: 0}) as reader:
            while len(found) < 3:
                records = await reader.read_bare(2, 10.0)
                assert len(records) <= 2
                found += records
            assert not await reader.read_bare(2, 0.2)
        assert [(record.offset, record.value) for record in found] == [(0, b"0"), (1, b"1"), (2, None)]
        first = found[0]
        assert (first.key, first.timestamp, tuple(first.headers)) == (b"key", 17, headers)

    run(check)


@pytest.mark.parametrize("offset", [0, 100])
def test_an_offset_that_is_not_in_the_log_holds(run: Run, offset: int) -> None:
    """Neither below the log's start nor behind its end is anything made up."""

    async def check(bench: Bench) -> None:
        topic = await bench.topic()
        await bench.produce(topic, 0, b"gone", b"gone", b"there")
        await bench.delete_before(topic, 0, 2)
        assert await bench.kafka.start_offsets(topic) == {0: 2}
        async with bench.kafka.reader(topic, {0: offset}) as reader:
            with pytest.raises(Held) as held:
                await _read_until_it_fails(reader)
        assert held.value.reason == "offset_out_of_range"

    run(check)


async def _read_until_it_fails(reader: Reader) -> None:
    async with asyncio.timeout(20):
        while True:
            await reader.read(10, 0.5)


# --- groups ---------------------------------------------------------------------------------------------


async def decided(
    decisions: AsyncIterator[frozenset[int]], wanted: Callable[[frozenset[int]], bool]
) -> frozenset[int]:
    """The first decision of which this is true."""
    async with asyncio.timeout(30):
        async for partitions in decisions:
            if wanted(partitions):
                return partitions
    raise AssertionError("the membership has ended")


def test_members_share_the_partitions_and_take_over(run: Run) -> None:
    """One alone has all; two have each a part; who stays when the other leaves has all again."""

    async def check(bench: Bench) -> None:
        topic, group = await bench.topic(4), bench.group()
        everything = frozenset(range(4))
        async with bench.join(group, topic, "1-old") as old:
            of_old = old.assignments()
            await decided(of_old, lambda partitions: partitions == everything)
            async with bench.join(group, topic, "2-young") as young:
                of_young = young.assignments()
                theirs, ours = await asyncio.gather(
                    decided(of_young, bool), decided(of_old, lambda p: len(p) < 4)
                )
                assert (ours, theirs) == (frozenset({0, 2}), frozenset({1, 3}))
                await of_young.aclose()
            await decided(of_old, lambda partitions: partitions == everything)
            await of_old.aclose()

    run(check)


def test_who_was_put_out_is_not_confirmed(run: Run) -> None:
    """A member is confirmed; one that the group has forgotten is not, and then joins again."""

    async def check(bench: Bench) -> None:
        topic, group = await bench.topic(2), bench.group()
        async with bench.join(group, topic, "member") as membership:
            decisions = membership.assignments()
            await decided(decisions, bool)
            assert await membership.confirm()
            await bench.put_out(group, membership)
            assert not await membership.confirm()
            assert await decided(decisions, bool) == frozenset({0, 1})
            assert await membership.confirm()
            await decisions.aclose()

    run(check)


def test_what_is_gathered_is_lost_to_nobody(run: Run) -> None:
    """A reader that may gather gives everything out: when there is enough, or when the time is over."""

    async def check(bench: Bench) -> None:
        topic = await bench.topic()
        async with bench.kafka.reader(topic, {0: 0}) as reader:
            for max_bytes, seconds, value in [(10**9, 0.3, b"1"), (1, 60.0, b"2"), (0, 0.0, b"3")]:
                reader.may_gather(max_bytes, seconds)
                await bench.produce(topic, 0, value)
                end = (await bench.kafka.end_offsets(topic))[0]
                async with asyncio.timeout(20):
                    assert (await read_to(reader, 0, end)).values == [value]

    run(check)
