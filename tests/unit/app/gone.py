"""Logs whose records are gone where a partition stands: the audit and a dry run say the same of them."""

import pytest

from daemon.flows.records import codec
from daemon.model import Committed, Intent
from tests.doubles import START

RECORDS = 6
IN_DOUBT = codec.intent_metadata(Intent("one", 5, START, START))

where_records_are_gone = pytest.mark.parametrize(
    ("committed", "start", "end"),
    [
        (Committed(2, ""), 3, 6),
        (Committed(5, ""), 0, 4),
        (Committed(2, codec.ASTRAY), 0, 6),
        (Committed(2, IN_DOUBT), 3, 6),
        (Committed(2, IN_DOUBT), 0, 4),
    ],
)
