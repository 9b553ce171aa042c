"""Plants a mutant: its module's source is changed on its way in, and nowhere else."""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import CodeType, ModuleType


@dataclass(frozen=True, slots=True)
class Mutant:
    """A planted fault.

    Attributes:
        name: what it is called.
        harm: what would come of it.
        module: whose source is changed.
        old: text that stands there exactly once.
        new: what replaces it.
        found_by: the test that finds it, where seeds of the simulation would have to be very many.
        api: in which of Toloka's APIs it shows.
        only: the faults by which it shows, with commas between: others are not drawn; empty for any.
        steered: whether it shows where an operator is at work.
    """

    name: str
    harm: str
    module: str
    old: str
    new: str
    found_by: str = ""
    api: str = "app"
    only: str = ""
    steered: bool = False

    def applied(self, source: str) -> str:
        """The changed source.

        Raises:
            LookupError: the text does not stand there exactly once: the mutant has to follow the code.
        """
        if source.count(self.old) != 1:
            raise LookupError(f"{self.name}: {source.count(self.old)} times in {self.module}: {self.old!r}")
        return source.replace(self.old, self.new)


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module from changed source, past any compiled one."""

    def __init__(self, mutant: Mutant, path: str) -> None:
        super().__init__(mutant.module, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType | None:
        """See `importlib.abc.InspectLoader.get_code`."""
        path = self.get_filename(fullname)
        source = self._mutant.applied(self.get_data(path).decode())
        code: CodeType = self.source_to_code(source.encode(), path)
        return code


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the one module that is changed."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder.find_spec`."""
        if fullname != self._mutant.module:
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        assert found is not None
        assert found.origin is not None
        loader = _Loader(self._mutant, found.origin)
        return importlib.machinery.ModuleSpec(fullname, loader, origin=found.origin)


def plant(mutant: Mutant) -> None:
    """Have this process import the changed module; it must not have been imported yet."""
    assert mutant.module not in sys.modules, f"{mutant.module} is there already"
    sys.meta_path.insert(0, _Finder(mutant))
