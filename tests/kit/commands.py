"""Running `tolokad` commands to their ends."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.system.processes import TOLOKAD, foreign_variables

END_SECONDS: Final = 90.0
# Runs a command and says on standard error how much memory it took at the most, in kilobytes.
_MEASURED: Final = """
import os, resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


@dataclass(frozen=True)
class Ended:
    """What a command has come to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its answer as a JSON document."""
        assert self.out.count("\n") == 1, self.out + self.err
        return json.loads(self.out)

    @property
    def most_megabytes(self) -> float:
        """What it took of memory at the most, where it was measured."""
        return int(self.err.splitlines()[-1]) / 1024


async def tolokad(environment: Mapping[str, str], *arguments: str, measured: bool = False) -> Ended:
    """Run a command to its end, with these `TOLOKAD_` variables and no others."""
    command = [TOLOKAD, *arguments]
    if measured:
        command = [sys.executable, "-c", _MEASURED, *command]
    own = {name: value for name, value in os.environ.items() if name not in foreign_variables()}
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**own, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), END_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    ended = Ended(process.returncode or 0, out.decode(), err.decode())
    assert "Traceback" not in ended.out + ended.err, ended.out + ended.err
    return ended
