"""A broker's release, as its newest metadata format tells it."""

import pytest

from daemon.edges.kafka.versions import named


@pytest.mark.parametrize(
    ("newest_format", "release"),
    [
        (None, "not shown"),
        (0, "3.0 to 3.2"),
        (7, "3.3"),
        (21, "3.9"),
        (25, "4.0"),
        (30, "4.3"),
        (99, "newer than 4.3"),
    ],
)
def test_named(newest_format: int | None, release: str) -> None:
    """A format belongs to the release that brought it in or the next ones did not yet change."""
    assert named(newest_format) == release
