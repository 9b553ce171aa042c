"""What can go wrong with the embedded broker itself."""


class KafkaUnavailableError(RuntimeError):
    """The broker cannot be fetched, formatted or started; the message says what to do about it."""
