"""The variables `TOLOKAD_TOLOKA__…` and `TOLOKAD_TASKS__…`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from daemon.errors import ConfigurationError
from daemon.settings import kinds
from daemon.settings.credentials import Secret, password, token, token_scheme
from daemon.settings.kinds import Says, Section, Shown

TolokaId = Annotated[str | None, AfterValidator(kinds.identifier), Says("letters, digits, '-' and '_'")]
Status = Literal["SUBMITTED", "ACCEPTED", "REJECTED", "SKIPPED", "EXPIRED"]


class TolokaSettings(Section):
    """The service, the credential, and how much of it to use."""

    url: Annotated[
        str,
        AfterValidator(kinds.service_url),
        Says("an https address without user name, query, fragment or the API's own /api/…", quiet=True),
    ] = "https://toloka.dev"
    """Where Toloka is, without `/api/…`; http only for this machine, or with ALLOW_HTTP."""

    allow_http: bool = False
    """Let the URL be http for any host: the credential then crosses the network in clear."""

    api: Literal["app", "tasks"] = "app"
    """Which API takes the items: `app` (projects and items) or `tasks` (pools and assignments, v1)."""

    project_id: Annotated[TolokaId, Shown("required for app")] = None
    """The app project that items go to."""

    pool_id: Annotated[TolokaId, Shown("required for tasks")] = None
    """The pool that tasks go to."""

    token: Annotated[
        SecretStr | None, Says("printable ASCII without spaces", quiet=True), Shown("required")
    ] = None
    """The credential: an OAuth token or an API key. Secret: never shown."""

    token_file: Annotated[
        Path | None, AfterValidator(kinds.readable_file), Says("a readable file", quiet=True)
    ] = None
    """A file that holds the credential instead.

    It is read again whenever Toloka refuses us, so that a key can be rotated without a restart.
    """

    auth_scheme: Literal["auto", "OAuth", "ApiKey"] = "auto"
    """How the credential is presented; `auto` tells by its form, as Toloka's own clients do."""

    account_id: TolokaId = None
    """Act in this account (`X-Act-Under-Account-ID`) instead of the credential's own."""

    requests_per_second: Annotated[float, Field(gt=0, le=1_000_000)] = 100
    """Requests of both flows and all replicas together; a third of what Toloka allows a client.

    Each replica takes its share by its assigned partitions.
    """

    items_per_minute: Annotated[int, Field(ge=1)] = 100_000
    """Items submitted in a minute by all replicas together; Toloka's documented quota."""

    items_per_day: Annotated[int, Field(ge=1)] = 2_000_000
    """Items submitted in a day (UTC) by all replicas together, restarts included; Toloka's own quota."""

    ca_file: Annotated[Path | None, AfterValidator(kinds.readable_file), Says("a readable file")] = None
    """A PEM file of further authorities to trust for Toloka; SSL_CERT_FILE and the like are not read."""

    proxy: Annotated[
        kinds.ProxyUrl | None,
        BeforeValidator(kinds.proxy_url),
        Says("http://[user:password@]host:port", quiet=True),
    ] = None
    """A proxy on the way to Toloka; HTTPS_PROXY and the like are not read. Its password is never shown."""

    proxy_file: Annotated[
        Path | None, AfterValidator(kinds.readable_file), Says("a readable file", quiet=True)
    ] = None
    """A file that holds the proxy's address instead, for it may hold a password; read at the start."""

    @property
    def target_id(self) -> str:
        """The project or pool that items go to."""
        return (self.project_id if self.api == "app" else self.pool_id) or ""

    @property
    def token_secret(self) -> Secret:
        """Where the credential comes from."""
        return token("TOLOKAD_TOLOKA__TOKEN", self.token, self.token_file)

    def read_token(self) -> str:
        """The credential as it is now.

        Raises:
            ConfigurationError: its file cannot be used.
        """
        return self.token_secret.read()

    def read_proxy(self) -> kinds.ProxyUrl | None:
        """The proxy on the way, if there is one.

        Raises:
            ConfigurationError: given twice, or its file cannot be used.
        """
        if self.proxy_file is None:
            return self.proxy
        given = None if self.proxy is None else SecretStr("")
        address = password("TOLOKAD_TOLOKA__PROXY", given, self.proxy_file).read()
        try:
            return kinds.ProxyUrl(str(kinds.proxy_url(address)))
        except ValueError:
            wanted = "http://[user:password@]host:port"
            raise ConfigurationError(f"TOLOKAD_TOLOKA__PROXY_FILE: must hold {wanted}") from None

    def authorization(self) -> str:
        """The value of the `Authorization` header as it is now.

        Raises:
            ConfigurationError: the credential's file cannot be used.
        """
        credential = self.read_token()
        scheme = token_scheme(credential) if self.auth_scheme == "auto" else self.auth_scheme
        return f"{scheme} {credential}"


class TasksSettings(Section):
    """Only for TOLOKA__API=tasks: the parameters of `POST /tasks`, and which assignments count."""

    pool_ids: Annotated[
        tuple[str, ...],
        BeforeValidator(kinds.comma_list),
        AfterValidator(kinds.identifiers),
        Says("a comma list of ids: letters, digits, '-' and '_'"),
        Shown("none"),
    ] = ()
    """Further pools that a record may name in its `pool_id`; a task without one goes to TOLOKA__POOL_ID."""

    async_mode: bool = True
    """Submit as an operation, whose id makes sending again safe; false submits synchronously."""

    skip_invalid_items: bool = True
    """Create the valid tasks of a request and report the others; false creates all or none."""

    allow_defaults: bool = False
    """Take a task's overlap from the pool where the task has none."""

    open_pool: bool = False
    """Open the pool once the tasks are in it."""

    assignment_statuses: Annotated[
        tuple[Status, ...],
        BeforeValidator(kinds.distinct_upper),
        Says("a comma list of SUBMITTED, ACCEPTED, REJECTED, SKIPPED, EXPIRED, none twice"),
    ] = ("SUBMITTED", "ACCEPTED")
    """Which assignments are results: one is published when it is first seen in one of these."""
