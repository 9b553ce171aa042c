"""Write the reference of all variables: `python -m daemon.settings > config/reference.env`."""

import sys

from daemon.settings import reference_env

sys.stdout.write(reference_env())
