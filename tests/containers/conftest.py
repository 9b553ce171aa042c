"""One engine with all images for every test here; skipped, with the reason, where none can run."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.engine import Engine, NoEngineError, running_engine
from tests.containers.images import Images, build


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """A Docker Engine."""
    # A socket's path may have 107 letters: not in pytest's own folders.
    folder = Path(tempfile.mkdtemp(prefix="tolokad-engine-"))
    try:
        with running_engine(folder) as running:
            yield running
    except NoEngineError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def images(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Images:
    """All images, built."""
    return build(engine, tmp_path_factory.mktemp("images"))
