"""Requests in versions that the client has no words for."""

from typing import Any

from aiokafka.protocol.api import Request, RequestStruct


class Question(Request[RequestStruct]):  # type: ignore[misc] # aiokafka has no types
    """A request in the one version that `struct` is of, with the fields of its schema in their order."""

    API_KEY = -1  # the client wants one of the class; each question has its own

    def __init__(self, struct: type[Any], *fields: Any) -> None:
        self.API_KEY = struct.API_KEY
        self._CLASSES = (struct,)
        self._fields = fields

    def build(self, request_struct_class: type[Any]) -> Any:
        """The request, in the version that was agreed on."""
        return request_struct_class(*self._fields)
