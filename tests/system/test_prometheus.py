"""A real Prometheus that scrapes running replicas: every panel and every alert finds its series."""

import re
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.dashboard import dashboard
from tests.deploy.yamls import PROMETHEUS, rules_in
from tests.kafka import free_port
from tests.system.conftest import Deploy
from tests.system.deployment import Deployment, eventually
from tests.system.feed import MARKERS, sources
from tests.system.processes import Process

CONFIGURATION = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}", "{alerts}"]
scrape_configs:
  - job_name: tolokad
    static_configs: [{{targets: {targets}, labels: {{namespace: moderation}}}}]
"""
# What Grafana would fill in.
FILLED = {"$job": "tolokad", "$instance": ".+", "$__rate_interval": "10s"}
ITEMS = 400

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is not installed"
)


class Server:
    """A Prometheus of the test's own."""

    def __init__(self, deployment: Deployment, folder: Path) -> None:
        self._deployment = deployment
        self._port = free_port()
        targets = [replica.url.removeprefix("http://") for replica in deployment.replicas]
        rules, alerts = PROMETHEUS / "rules.yml", PROMETHEUS / "alerts.yml"
        path = folder / "prometheus.yml"
        path.write_text(CONFIGURATION.format(rules=rules, alerts=alerts, targets=targets))
        listen = f"--web.listen-address=127.0.0.1:{self._port}"
        command = ["prometheus", f"--config.file={path}", f"--storage.tsdb.path={folder / 'tsdb'}", listen]
        self.process = Process(command, folder / "prometheus.log", {})

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression comes to now."""
        url = f"http://127.0.0.1:{self._port}/api/v1/query"
        answer = await self._deployment.http.get(url, params={"query": expression})
        assert answer.status_code == httpx.codes.OK, f"{expression}: {answer.text}"
        return list(answer.json()["data"]["result"])

    async def ready(self) -> bool:
        """Whether it answers queries: it refuses the connection first, and then answers with 503."""
        try:
            answer = await self._deployment.http.get(f"http://127.0.0.1:{self._port}/-/ready")
        except httpx.TransportError:
            return False
        return answer.status_code == httpx.codes.OK

    async def scrapes(self) -> bool:
        """Whether both replicas were seen often enough for rates."""
        seen = await self.query("min(count_over_time(tolokad_build_info[1m])) >= 4")
        return bool(seen) and len(await self.query("tolokad_build_info")) == 2

    async def recorded(self) -> bool:
        """Whether the recording rules have been worked out."""
        return bool(await self.query("job:tolokad_dead_letters:ratio_rate15m"))


def filled(expression: str) -> str:
    """A panel's query as Grafana would send it."""
    for variable, value in FILLED.items():
        expression = expression.replace(variable, value)
    return expression


def selectors(expression: str) -> list[str]:
    """The series that an expression reads, each with its matchers."""
    return re.findall(r"\b(?:tolokad_|job:tolokad_)[a-z0-9_:]+(?:\{[^}]*\})?", expression)


@needs_prometheus
async def test_every_query_finds_its_series(deploy: Deploy, tmp_path: Path) -> None:
    """While items pass, no panel is empty and no alert waits for a series that never comes."""
    deployment = await deploy(*MARKERS)
    await deployment.started()
    await deployment.started()
    server = Server(deployment, tmp_path)
    with server.process as process:
        process.start()
        await deployment.feed(sources(ITEMS, seed=12))
        await eventually(server.ready, process.output)
        await eventually(server.scrapes, process.output)
        await deployment.feed(sources(ITEMS, seed=13))
        await deployment.until_done()
        await eventually(server.recorded, process.output)
        panels = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]
        alerts = [rule["expr"] for rule in rules_in("alerts.yml")]
        asked = [*map(filled, panels), *(selector for alert in alerts for selector in selectors(alert))]
        empty = [expression for expression in asked if not await server.query(expression)]
        assert empty == []
        assert await server.query('ALERTS{alertstate="firing"}') == []
