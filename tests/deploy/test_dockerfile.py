"""What the Dockerfile copies is there, is let through, and is enough."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.deploy.yamls import REPOSITORY

# From the repository, not from another stage.
COPIED = re.compile(r"^COPY (?!--from)(.+) \S+$", re.MULTILINE)
# The image has no test tool, and not the rest of the repository.
IMPORT = """
import sys
sys.path[:] = [".", *(path for path in sys.path if path != {repository!r})]
sys.modules.update(dict.fromkeys(("rich", "pytest")))
import {module}
"""


def copied() -> list[str]:
    """Every path that the Dockerfile takes from the repository."""
    text = (REPOSITORY / "Dockerfile").read_text()
    return [path for group in COPIED.findall(text) for path in group.split()]


def test_what_is_copied_is_let_through() -> None:
    """Each path exists, and .dockerignore makes an exception for it or for a folder around it."""
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    let_through = [line[1:] for line in lines if line.startswith("!")]
    for path in copied():
        assert (REPOSITORY / path).exists(), path
        assert any(path == each or path.startswith(f"{each}/") for each in let_through), path


def test_the_simulators_image_has_all_that_it_imports(tmp_path: Path) -> None:
    """With just the files that are copied, the simulator and the source of items can be started."""
    for path in copied():
        if path.startswith("tests/"):
            target = tmp_path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (REPOSITORY / path).is_dir() else shutil.copy
            copy(REPOSITORY / path, target)
    for module in ("tests.demo.trickle", "tests.simulator.__main__"):
        script = IMPORT.format(repository=str(REPOSITORY), module=module)
        command = [sys.executable, "-P", "-c", script]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
