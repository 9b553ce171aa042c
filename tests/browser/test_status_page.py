"""The status page in a real browser, while items pass: it moves, it shows holds, and anyone can read it."""

import asyncio
import os
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from tests.browser.driver import Browser
from tests.system.conftest import Deploy
from tests.system.deployment import Deployment, eventually
from tests.system.feed import NAMED, Source, sources, without_id

# `.ci/system-needs` puts it there.
AXE: Final = Path(__file__).parents[2] / ".cache" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
# Set it to a folder to keep the pictures.
PICTURES: Final = os.environ.get("PICTURES", "")
WIDE, PHONE = (1280, 900), (375, 800)
REFUSAL = {"kind": "status", "status": 401, "style": "json", "operations": ["bulk", "project"]}
CROWD = ("--finish-seconds-min", "1", "--finish-seconds-max", "4", "--named-marker", NAMED)
BAD = Source(b"k", b"no item", ())
AUDIT = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then((found) => done(found.violations.map(
  (fault) => [fault.impact, fault.id, fault.nodes.map((node) => node.target.join(" ")).join(", ")])));
"""

pytestmark = pytest.mark.timeout(240)


async def trickle(deployment: Deployment, stopping: asyncio.Event) -> None:
    """Feed items for as long as somebody looks."""
    seed = 0
    while not stopping.is_set():
        seed += 1
        await deployment.feed([*sources(25, seed=seed, kinds=((without_id, 1),)), BAD])
        try:
            async with asyncio.timeout(0.3):
                await stopping.wait()
        except TimeoutError:
            continue


async def until_seen(window: Browser, selector: str, words: str, *, there: bool = True) -> None:
    """Wait until an element says so, or says so no longer."""

    async def seen() -> bool:
        return (words in await asyncio.to_thread(window.text, selector)) is there

    await eventually(seen, lambda: f"{words!r} {'never' if there else 'still'} seen: {window.text('main')}")


async def until_it_moves(window: Browser, name: str) -> None:
    """Wait until a number of the page has grown twice."""
    seen: set[str] = set()

    async def moved() -> bool:
        seen.add(await asyncio.to_thread(window.text, f'.tiles [data-v="{name}"]'))
        return len(seen) > 2

    await eventually(moved, lambda: f"{name} stays at {seen}")


def picture(window: Browser, folder: Path, name: str, size: tuple[int, int], *, dark: bool) -> None:
    """Take a picture; nothing may hang over the edge of the screen."""
    window.look(*size, dark=dark)
    target = Path(PICTURES) if PICTURES else folder
    window.screenshot(target / f"{name}.png", whole=size == PHONE)
    width = window.run("return document.documentElement.scrollWidth")
    assert width <= size[0], f"{name} is {width} wide"


def faults(window: Browser) -> list[list[str]]:
    """What axe calls serious or critical; only what it may run without the page's policy is looked at."""
    window.run(AXE.read_text())
    return [fault for fault in window.run_slowly(AUDIT) if fault[0] in {"serious", "critical"}]


async def test_the_page_shows_what_happens(deploy: Deploy, window: Browser, tmp_path: Path) -> None:
    """Numbers move, a hold appears with its reason and goes again, and the browser complains of nothing."""
    deployment = await deploy(*CROWD, SUBMIT__MAX_REJECTED_RATIO="1", LOG__LEVEL="INFO")
    replica = await deployment.started()
    stopping = asyncio.Event()
    feeding = asyncio.ensure_future(trickle(deployment, stopping))
    try:
        window.look(*WIDE, dark=False)
        await asyncio.to_thread(window.open, f"{replica.url}/")
        assert "Nothing is held" in window.text("#holds")
        await until_it_moves(window, "submitted")
        await until_it_moves(window, "published")
        await until_seen(window, "svg.wide .way-box.submit .state", "submitting")
        for name, size, dark in (
            ("light", WIDE, False),
            ("dark", WIDE, True),
            ("phone", PHONE, False),
            ("phone-dark", PHONE, True),
        ):
            picture(window, tmp_path, name, size, dark=dark)
        await deployment.control("PUT", "faults", json=[REFUSAL])
        await until_seen(window, "#holds", "unauthorized")
        assert "Toloka does not know the credential." in window.text("#holds")
        assert "runbook.md#unauthorized" in window.text("#holds")
        await until_seen(window, "svg.tall .way-box.submit .state", "held")
        await until_seen(window, "#errors", "held")
        picture(window, tmp_path, "held", WIDE, dark=False)
        picture(window, tmp_path, "held-phone", PHONE, dark=True)
        if AXE.exists():
            assert faults(window) == []
        await deployment.control("PUT", "faults", json=[])
        await until_seen(window, "#holds", "Nothing is held")
        assert window.complaints() == []
        assert {urlsplit(url).netloc for url in window.requests()} == {urlsplit(replica.url).netloc}
    finally:
        stopping.set()
        await feeding


async def test_a_replica_that_is_gone_is_noticed(deploy: Deploy, window: Browser) -> None:
    """The page says that what it shows is old, and goes on when the replica is back."""
    deployment = await deploy()
    replica = await deployment.started()
    await asyncio.to_thread(window.open, f"{replica.url}/")
    replica.kill()
    await until_seen(window, "#silence", "No answer from this replica")
    replica.start()
    await replica.ready()
    await until_seen(window, "#silence", "No answer", there=False)
    await until_seen(window, ".flags", "ready")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_anyone_can_read_it(deploy: Deploy, window: Browser, dark: bool) -> None:  # noqa: FBT001 - a parameter of the table
    """Axe finds no serious fault: names, roles, order, contrast; settings opened, wide and narrow."""
    if not AXE.exists():
        pytest.skip("axe-core is not there: run .ci/system-needs")
    deployment = await deploy()
    replica = await deployment.started()
    for size in (WIDE, PHONE):
        window.look(*size, dark=dark)
        await asyncio.to_thread(window.open, f"{replica.url}/")
        window.run("document.querySelector('details').open = true")
        assert faults(window) == []
