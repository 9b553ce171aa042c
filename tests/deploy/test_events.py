"""The catalogue of events says what the code logs."""

from tests.deploy.events import MEANINGS, REPOSITORY, catalogue, events


def test_every_event_has_a_meaning() -> None:
    """No more, no less, each a sentence."""
    assert set(events()) == set(MEANINGS)
    assert all(meaning.endswith(".") for meaning in MEANINGS.values())


def test_the_page_is_up_to_date() -> None:
    """After a change: `make events`."""
    assert (REPOSITORY / "config" / "events.md").read_text() == catalogue()


def test_events_are_found_with_their_levels_and_fields() -> None:
    """Read from the calls themselves, also where several places log the same event."""
    assert events()["held"].levels == {"warning"}
    assert {"flow", "reason", "detail", "partition"} <= set(events()["held"].fields)
    assert "exc_info" in events()["internal_error"].fields
