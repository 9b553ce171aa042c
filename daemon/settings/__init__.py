"""What a deployment decides: environment variables, checked as a whole before anything starts."""

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
