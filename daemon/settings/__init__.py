"""What a deployment decides: environment variables, checked as a whole before anything starts."""

from daemon.settings.credentials import Secret, token_scheme
from daemon.settings.flows import BudgetSettings, CollectSettings, SubmitSettings
from daemon.settings.kafka import KafkaSettings
from daemon.settings.load import load
from daemon.settings.reference import effective, reference_env
from daemon.settings.root import HttpSettings, LogSettings, Settings
from daemon.settings.toloka import TasksSettings, TolokaSettings
from daemon.settings.variables import Variable, variables

__all__ = [
    "BudgetSettings",
    "CollectSettings",
    "HttpSettings",
    "KafkaSettings",
    "LogSettings",
    "Secret",
    "Settings",
    "SubmitSettings",
    "TasksSettings",
    "TolokaSettings",
    "Variable",
    "effective",
    "load",
    "reference_env",
    "token_scheme",
    "variables",
]
