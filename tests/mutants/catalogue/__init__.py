"""All mutants."""

from tests.mutants.catalogue.collecting import COLLECTING
from tests.mutants.catalogue.submitting import SUBMITTING

MUTANTS = (*SUBMITTING, *COLLECTING)
