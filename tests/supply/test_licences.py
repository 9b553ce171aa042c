"""Licences of what is shipped: known, permissive or accepted by name, and listed."""

import pytest

from tests.supply.licences import ACCEPTED, page, permitted, shipped
from tests.supply.packages import ROOT, pinned


def test_everything_shipped_may_be() -> None:
    """A dependency that brings copyleft, or no licence that is understood, is noticed when it is pinned."""
    refused = {each.name: each.licence for each, _ in shipped() if not permitted(each.name, each.licence)}
    assert refused == {}


@pytest.mark.parametrize(
    ("name", "licence", "may"),
    [
        ("a", "MIT", True),
        ("a", "GPL-3.0-only", False),
        ("a", "MIT AND LGPL-2.1-or-later", False),
        ("a", "GPL-2.0-only OR Apache-2.0", True),
        ("a", "(MIT AND AGPL-3.0-only) OR SSPL-1.0", False),
        ("a", "MPL-2.0", False),
        ("certifi", "MPL-2.0", True),
        ("certifi", "GPL-3.0-only", False),
    ],
)
def test_what_is_permitted(name: str, licence: str, *, may: bool) -> None:
    """All of it must be permissive; of a choice one is enough; an exception holds for its package alone."""
    assert permitted(name, licence) is may


def test_no_exception_outlives_its_reason() -> None:
    """Every accepted package is still shipped, under the licence that was accepted."""
    packages = pinned("runtime")
    assert {name: licence for name, (licence, _) in ACCEPTED.items()} == {
        name: packages[name].licence for name in ACCEPTED
    }


def test_the_list_is_up_to_date() -> None:
    """`make licences` writes it anew."""
    assert (ROOT / "config" / "licences.md").read_text(encoding="utf-8") == page()
