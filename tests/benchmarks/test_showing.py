"""What was measured, as it is told."""

from tests.benchmarks.showing import tables
from tests.benchmarks.stage import Row


def test_rounds_are_told_by_least_median_and_greatest_and_the_reference_by_its_ratio() -> None:
    """Ratios are tolokad's to the reference, round by round."""
    ours = [Row("m", "j", "tolokad", {"items_per_second": speed}) for speed in (200.0, 100.0, 400.0)]
    theirs = [Row("m", "j", "hand", {"items_per_second": 100.0, "open_items": 3.0}) for _ in range(3)]
    found = [row.line() for row in theirs]
    assert found[0] == {
        "measurement": "m",
        "job": "j",
        "program": "hand",
        "items_per_second": 100.0,
        "open_items": 3.0,
    }
    text = tables([*ours, *theirs])
    assert "| j | tolokad | 100 / 200 / 400 |  |  |" in text
    assert "| j | hand | 100 / 100 / 100 | 3.00 / 3.00 / 3.00 | 1.00 / 2.00 / 4.00 |" in text
