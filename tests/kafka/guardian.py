"""A process that cannot outlive the one that started it, and a folder that goes with it.

A small shell waits on a pipe whose other end only this process holds. When that end closes, for
whatever reason, `kill -9` included, the shell kills the guarded process and removes the folder.
prctl(PR_SET_PDEATHSIG) would not do: it fires when the *thread* that started the child ends, which
for a worker thread of an event loop is long before the test run is over.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

# Each line names the process to kill from now on; an empty one means none.
_WATCH = """
while read -r line; do pid=$line; done
[ -z "$pid" ] || kill -9 "$pid"
[ -z "$1" ] || rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }
"""

# The guarded process writes its own id to the guardian before it becomes the program: no moment
# is left in which it runs and nobody watches it. Then its output goes to the log.
_LAUNCH = 'log=$1; shift; echo "$$"; exec "$@" >>"$log" 2>&1'


class Guardian:
    """Watches over one process at a time and one folder.

    Args:
        folder: removed with everything in it when the guardian ends; None leaves all files alone.
    """

    def __init__(self, folder: Path | None) -> None:
        self._shell = _own_session(["sh", "-c", _WATCH, "sh", str(folder or "")], stdin=subprocess.PIPE)

    @property
    def pid(self) -> int:
        """The process id of the watching shell."""
        return self._shell.pid

    def launch(
        self, command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        """Start a program under guard.

        Args:
            command: the program and its arguments.
            log: the file that its standard output and error are appended to.
            environment: variables on top of this process's own.
        """
        return _own_session(
            ["sh", "-c", _LAUNCH, "sh", str(log), *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=self._shell.stdin,
            env={**os.environ, **(environment or {})},
        )

    def forget(self) -> None:
        """Watch no process any more: the guarded one has ended and its id may be given away."""
        pipe = self._shell.stdin
        if pipe is not None and not pipe.closed:
            pipe.write(b"\n")
            pipe.flush()

    def close(self) -> None:
        """End the guard: the process, if one is left, is killed and the folder is removed."""
        self._shell.communicate()


def _own_session(command: list[str], **options: object) -> "subprocess.Popen[bytes]":
    # A Ctrl-C at the terminal goes to the whole foreground group; these are stopped by their owner.
    return subprocess.Popen(command, start_new_session=True, **options)  # type: ignore[call-overload, no-any-return]  # passes Popen's own options on
