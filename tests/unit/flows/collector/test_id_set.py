"""A great many ids, in little memory."""

from daemon.flows.collector.id_set import IdSet


def test_what_was_taken_in_is_found_and_nothing_else() -> None:
    """But for a chance of less than one in a billion."""
    ids = IdSet()
    for number in range(0, 100_000, 2):
        ids.add(b"%020x" % number)
    assert [number for number in range(100_000) if ids.may_have(b"%020x" % number)] == list(
        range(0, 100_000, 2)
    )
    assert not IdSet().may_have(b"a")
