"""The way back: items that have finished and wait, until the last of them is published."""

import time
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.benchmarks.running import Figures, Job, command_of, program, settings, sink, spent, stats, until


async def _published(http: httpx.AsyncClient, address: str) -> float:
    try:
        text = (await http.get(address)).text
    except httpx.HTTPError:
        return 0.0
    families = text_string_to_metric_families(text)
    samples = [sample for family in families for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == "tolokad_results_published_total")


async def collect(job: Job, broker: str, folder: Path) -> Figures:
    """Submit the job's items, then start anew and publish what they all came to."""
    group = f"bench-collect-{time.time_ns()}"
    async with sink(0.0, folder / "sink.log") as (url, http):
        variables = settings(job, broker, url, group)
        submitting = variables | {"TOLOKAD_COLLECT__ENABLED": "false"}
        async with program(command_of("tolokad"), folder / "tolokad.log", submitting):
            await until(lambda: stats(http), lambda found: found is not None and found["items"] >= job.items)
        collecting = variables | {"TOLOKAD_SUBMIT__ENABLED": "false", "TOLOKAD_COLLECT__START_AT": "earliest"}
        metrics = f"http://127.0.0.1:{variables['TOLOKAD_HTTP__PORT']}/metrics"
        async with program(command_of("tolokad"), folder / "tolokad.log", collecting) as process:
            first = await until(lambda: _published(http, metrics), lambda count: count > 0)
            began, used = time.monotonic(), spent(process.pid)[0]
            await until(lambda: _published(http, metrics), lambda count: count >= job.items)
            seconds = max(time.monotonic() - began, 1e-3)
            cpu, resident = spent(process.pid)
    count = max(job.items - first, 1)
    return Figures(job.name, "tolokad", count / seconds, (cpu - used) / count * 1e6, resident, 0)
