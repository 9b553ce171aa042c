"""Whoever looks for something is led to it: by each room's guide, and by the names of the tests' folders."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOUSE = ROOT / "daemon"
# The house's own says the promise; README.md leads through its rooms.
ROOMS = sorted(guide.parent for guide in HOUSE.rglob("__init__.py") if guide.parent != HOUSE)
# What guides call by its name although it is in no room.
ELSEWHERE = {"datetime"}


def contents(room: Path) -> set[str]:
    """Its modules, and the rooms within."""
    modules = {path.stem for path in room.glob("*.py") if not path.stem.startswith("__")}
    return modules | {path.parent.name for path in room.glob("*/__init__.py")}


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(HOUSE)))
def test_a_guide_names_what_its_room_holds_and_nothing_else(room: Path) -> None:
    """Each module and each room within, once at the least."""
    guide = ast.get_docstring(ast.parse((room / "__init__.py").read_text()))
    assert guide is not None
    assert set(re.findall(r"`([a-z_]+)/?`", guide)) - ELSEWHERE == contents(room)


def test_the_unit_tests_lie_in_rooms_of_the_same_names() -> None:
    """What is in no room of the daemon has no folder here."""
    here = Path(__file__).parent
    folders = {path.parent.relative_to(here) for path in here.rglob("test_*.py")}
    assert [str(folder) for folder in sorted(folders) if not (HOUSE / folder).is_dir()] == []
