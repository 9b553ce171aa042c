"""deploy/topics-and-records.md tells what stands in our own topics."""

from daemon.flows.records import codec, orders
from tests.deploy.yamls import REPOSITORY

PAGE = REPOSITORY / "deploy" / "topics-and-records.md"


def test_the_page_names_every_key_of_our_own_topics() -> None:
    """Whoever finds a key that is no id of Toloka's can look it up."""
    marks = codec.mark_key("<topic>", 0), codec.ALTERED_KEY, codec.REOPEN_KEY
    words = orders.pause_key("<flow>"), orders.replay_key("<topic>", 0, 0)
    page = PAGE.read_text()
    for key in (*marks, *words):
        assert f"`{key.decode().removesuffix('/0/0').removesuffix('/0')}" in page
