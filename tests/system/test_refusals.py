"""What Toloka may answer that is not the items' fault: waited for or resolved, and never a dead letter."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import pytest

from tests.canary import CANARY
from tests.system.conftest import Deploy
from tests.system.deployment import Deployment, eventually
from tests.system.feed import sources, without_id

BULK: Final = ("bulk",)
ITEMS: Final = 20


def answered(status: int, **more: object) -> dict[str, Any]:
    """Every bulk request is answered with this status."""
    return {"kind": "status", "status": status, "style": "json", "operations": BULK, **more}


def spoilt(kind: str, **more: object) -> dict[str, Any]:
    """One bulk request takes effect, and its answer is spoilt in this way."""
    return {"kind": kind, "operations": BULK, "times": 1, **more}


# A definite no: the flow holds for this reason, and asks again.
HOLDING: Final[Mapping[str, tuple[dict[str, Any], str]]] = {
    "401": (answered(401), "unauthorized"),
    "403 of a proxy": (answered(403, style="html"), "forbidden"),
    "404": (answered(404), "not_found"),
    "409": (answered(409, code="OPERATION_NOT_ALLOWED"), "conflict"),
    "415": (answered(415), "refused"),
    "429 with Retry-After": (answered(429, retry_after="1"), "throttled"),
    "429 without": (answered(429), "throttled"),
}
# Nobody knows what came of it: looked for, and found.
IN_DOUBT: Final[Mapping[str, dict[str, Any]]] = {
    "500 with a page": spoilt("status", status=500, style="html", committed=True),
    "504": spoilt("status", status=504, committed=True),
    "redirect": spoilt("redirect", committed=True),
    "page of a proxy": spoilt("status", status=200, style="html", committed=True),
    "truncated": spoilt("truncated"),
    "wrong type": spoilt("wrong_type"),
    "repeated id": spoilt("repeated_id"),
    "missing id": spoilt("missing_id"),
    "too many ids": spoilt("extra_id"),
    "gigantic": spoilt("gigantic", size_bytes=96 << 20),
    "bomb": spoilt("bomb", size_bytes=96 << 20, chunked=True),
    "connection cut in the answer": spoilt("drop_answer"),
    "connection reset": spoilt("drop", committed=True, reset=True),
}


async def feed(deployment: Deployment, seed: int) -> None:
    """Some items, whom nobody has anything against."""
    await deployment.feed(sources(ITEMS, seed, kinds=((without_id, 1),)))


def _state(deployment: Deployment, name: str) -> str:
    return f"{name}: {deployment.state()}"


@pytest.mark.fault(39, 40, 42, 43, 44)
async def test_a_definite_no_holds_and_heals(deploy: Deploy) -> None:
    """401, 403, 404, 409, 415, 429: the flow holds, says why, writes no dead letter, goes on by itself."""
    deployment = await deploy(partitions=1)
    replica = await deployment.started()
    for number, (name, (fault, reason)) in enumerate(HOLDING.items()):
        await deployment.control("PUT", "faults", json=[fault])
        await feed(deployment, number)

        async def held(reason: str = reason) -> bool:
            return (await replica.scrape())("tolokad_held", flow="submit", reason=reason) == 1

        await eventually(held, partial(_state, deployment, name))
        assert (await replica.get("/readyz")).status_code == 200
        await deployment.control("PUT", "faults", json=[])
        await deployment.until_outcomes(deployment.fed)
        assert (await replica.scrape())("tolokad_held") == 0
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert (verdict.results, verdict.dead_letters) == (deployment.fed, 0)


@pytest.mark.fault(35, 45, 46, 47, 49, 50)
async def test_an_answer_that_is_no_answer_is_a_doubt(deploy: Deploy) -> None:
    """Whatever spoils the answer of a request that took effect: its items are found, none is sent twice."""
    deployment = await deploy(partitions=1)
    replica = await deployment.started()
    for number, (name, fault) in enumerate(IN_DOUBT.items()):
        await deployment.control("PUT", "faults", json=[fault])
        await feed(deployment, number)
        await deployment.until_outcomes(deployment.fed)
        adopted = (await replica.scrape())("tolokad_intents_resolved_total", outcome="adopted")
        assert adopted == number + 1, f"{name}: {deployment.state()}"
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert (verdict.results, verdict.dead_letters) == (deployment.fed, 0)


@pytest.mark.fault(39)
async def test_a_rotated_token_is_taken_up(deploy: Deploy) -> None:
    """The key is withdrawn while items pass; once its file has a new one, work goes on without a restart."""
    deployment = await deploy(partitions=1)
    token, renewed = deployment.folder / "token", CANARY.replace("x", "y")
    token.write_text(CANARY + "\n")
    replica = await deployment.started(TOLOKA__TOKEN="", TOLOKA__TOKEN_FILE=str(token))
    await feed(deployment, 1)
    await deployment.until_outcomes(ITEMS)
    await deployment.control("PUT", "knobs", json={"credentials": [f"ApiKey {renewed}"]})
    await feed(deployment, 2)

    async def held() -> bool:
        scrape = await replica.scrape()
        return all(scrape("tolokad_held", flow=f, reason="unauthorized") == 1 for f in ("submit", "collect"))

    await eventually(held, deployment.state)
    token.write_text(renewed)
    await deployment.until_outcomes(2 * ITEMS)
    token.unlink()
    assert len(list(replica.history("starting"))) == 1
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    shown = json.dumps(list(replica.history()))
    assert renewed not in shown


@pytest.mark.fault(41, 61)
async def test_too_large_requests_are_halved(deploy: Deploy) -> None:
    """A server that takes five items at a time gets five at a time, and every record its outcome."""
    deployment = await deploy("--bulk-max-items", "5", partitions=1)
    replica = await deployment.started()
    await deployment.feed(sources(100, 1, kinds=((without_id, 1),)))
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert (verdict.results, verdict.dead_letters) == (100, 0)
    assert list(replica.history("internal_error")) == []
