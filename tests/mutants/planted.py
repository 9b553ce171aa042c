"""A plugin of pytest that plants the mutant that `TOLOKAD_MUTANT` names: `-p tests.mutants.planted`."""

import os

from tests.mutants.catalogue import MUTANTS
from tests.mutants.planting import plant

VARIABLE = "TOLOKAD_MUTANT"

plant(next(mutant for mutant in MUTANTS if mutant.name == os.environ[VARIABLE]))
