"""All mutants."""

from tests.mutants.catalogue.ahead import AHEAD
from tests.mutants.catalogue.collecting import COLLECTING
from tests.mutants.catalogue.steering import STEERING
from tests.mutants.catalogue.submitting import SUBMITTING
from tests.mutants.catalogue.tasks import TASKS

MUTANTS = (*SUBMITTING, *AHEAD, *COLLECTING, *TASKS, *STEERING)
