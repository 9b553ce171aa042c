"""All settings together, and the variables `TOLOKAD_HTTP__…`, `TOLOKAD_LOG__…` and the rest."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from daemon.settings import kinds
from daemon.settings.flows import BudgetSettings, CollectSettings, SubmitSettings
from daemon.settings.kafka import KafkaSettings
from daemon.settings.kinds import Says, Section
from daemon.settings.toloka import TasksSettings, TolokaSettings

PREFIX = "TOLOKAD_"
DELIMITER = "__"


class HttpSettings(Section):
    """Health, metrics and the status page."""

    host: Annotated[str, AfterValidator(kinds.listen_host), Says("a host name or address")] = "0.0.0.0"  # noqa: S104 - a container's port is published on purpose
    """The address to listen on; 127.0.0.1 keeps it on this machine."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """The port to listen on; 0 takes a free one."""


class LogSettings(Section):
    """One line for each event, on standard output."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    """The least severe events to write; the Kafka and HTTP clients never go below WARNING."""

    format: Literal["auto", "console", "json"] = "auto"
    """`json` for machines, `console` for people; `auto` is console on a terminal, else json."""


class Settings(BaseSettings):
    """What a deployment decides. Made by `daemon.settings.load`, which also checks parts against each other.

    Nothing is read from anywhere when one is made: no environment, no file.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        enable_decoding=False,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    kafka: KafkaSettings = KafkaSettings()
    toloka: TolokaSettings = TolokaSettings()
    submit: SubmitSettings = SubmitSettings()
    tasks: TasksSettings = TasksSettings()
    budget: BudgetSettings = BudgetSettings()
    collect: CollectSettings = CollectSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()

    shutdown_seconds: Annotated[float, Field(gt=0, le=3600)] = 25
    """How long a drain may take after SIGTERM; below the orchestrator's own patience (often 30)."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library passes all by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave reading to `load`, which is told what the environment is."""
        return (init_settings,)

    def secrets(self) -> tuple[str, ...]:
        """Every secret value as it is now, for the log to leave out.

        Raises:
            ConfigurationError: a secret's file cannot be used.
        """
        sources = (self.toloka.token_secret, self.kafka.sasl_secret)
        proxy = self.toloka.read_proxy()
        return (*(source.read() for source in sources if source.given), *(proxy.passwords if proxy else ()))
