"""What a deployment decides: environment variables, checked as a whole before anything starts.

`root` holds all sections: `kafka`, `toloka`, `flows` and its own small ones. `kinds` checks one value
(`credentials` a secret), `rules` what the values must be to each other. `load` goes from the environment to
settings; `variables` lists what may stand there, and `reference` writes that for people.
"""

from daemon.settings.credentials import token_scheme
from daemon.settings.kafka import KafkaSettings
from daemon.settings.load import load
from daemon.settings.reference import effective, reference_env
from daemon.settings.root import HttpSettings, Settings
from daemon.settings.toloka import TolokaSettings
from daemon.settings.variables import Variable, variables

__all__ = [
    "HttpSettings",
    "KafkaSettings",
    "Settings",
    "TolokaSettings",
    "Variable",
    "effective",
    "load",
    "reference_env",
    "token_scheme",
    "variables",
]
