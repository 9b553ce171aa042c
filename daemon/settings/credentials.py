"""Secrets given as a value or as a file, and the form of Toloka's `Authorization` header."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from daemon.errors import ConfigurationError
from daemon.settings.kinds import ONE_LINE

FILE_BYTES = 65_536
TOKEN = re.compile(r"[\x21-\x7e]+")

Scheme = Literal["OAuth", "ApiKey"]


@dataclass(frozen=True, slots=True)
class Secret:
    """Where one secret comes from; a file is read again each time, so that it can be rotated.

    Args:
        variable: the full name of the variable that holds the value; `<variable>_FILE` names the file.
        value: the secret itself, if given so.
        file: a file that holds it, if given so.
        letters: what it may consist of.
        expected: `letters` in words, after "must be".
    """

    variable: str
    value: SecretStr | None
    file: Path | None
    letters: re.Pattern[str]
    expected: str

    @property
    def given(self) -> bool:
        """Whether there is a value or a file at all."""
        return not (self.value is None and self.file is None)

    def read(self) -> str:
        """The secret as it is now, without the newline that ends a file.

        Raises:
            ConfigurationError: given twice or not at all, unreadable, or not usable; the value is never
                repeated, and neither is the file's path, where a secret may stand by mistake.
        """
        if self.value is not None and self.file is not None:
            raise ConfigurationError(f"{self.variable}: is given twice, with {self.variable}_FILE: use one")
        if self.file is not None:
            return self._usable(f"{self.variable}_FILE", self._content(self.file))
        if self.value is not None:
            return self._usable(self.variable, self.value.get_secret_value())
        raise ConfigurationError(f"{self.variable}: is required, or {self.variable}_FILE")

    def _content(self, file: Path) -> str:
        try:
            with file.open("rb") as stream:
                return stream.read(FILE_BYTES).decode()
        except OSError as error:
            raise ConfigurationError(f"{self.variable}_FILE: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            # Its message would repeat the bytes.
            raise ConfigurationError(f"{self.variable}_FILE: is not UTF-8 text") from None

    def _usable(self, variable: str, text: str) -> str:
        secret = text.rstrip("\r\n")
        if not self.letters.fullmatch(secret):
            raise ConfigurationError(f"{variable}: must hold {self.expected}")
        return secret


def token(variable: str, value: SecretStr | None, file: Path | None) -> Secret:
    """A Toloka credential: it becomes part of a header, so CR, LF and spaces are refused."""
    return Secret(variable, value, file, TOKEN, "printable ASCII without spaces, and not be empty")


def password(variable: str, value: SecretStr | None, file: Path | None) -> Secret:
    """What is no part of a header: a SASL password, say."""
    return Secret(variable, value, file, ONE_LINE, "one line of text, and not be empty")


def token_scheme(credential: str) -> Scheme:
    """How Toloka's own clients tell an API key from an OAuth token.

    A key has exactly two dots, the first at 0-based offset 22, 23 or 24.
    """
    is_key = credential.count(".") == 2 and credential.index(".") in (22, 23, 24)  # noqa: PLR2004 - see above
    return "ApiKey" if is_key else "OAuth"
