"""A Toloka to run against: the App API v0 and the API v1 as a pure core, and the HTTP shell around it.

The core (`core.Toloka`) does no I/O and takes its clock and its randomness from the caller, so that a
simulation in virtual time can drive it; the shell (`serving.serve`, `python -m tests.simulator`) carries the
core's answers, and the ways in which it spoils them, over real sockets.
"""

from tests.simulator.core import Exchange, Toloka
from tests.simulator.faults import Fault
from tests.simulator.knobs import Knobs
from tests.simulator.messages import Disruption, Request, Response
from tests.simulator.serving import Simulator, serve

__all__ = ["Disruption", "Exchange", "Fault", "Knobs", "Request", "Response", "Simulator", "Toloka", "serve"]
