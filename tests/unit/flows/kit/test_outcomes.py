"""What a result answers, told by its value."""

import pytest

from daemon.flows.kit.outcomes import Coordinates, result_origin

ORIGIN = b'"origin":{"topic":"in","partition":3,"offset":7}'


@pytest.mark.parametrize("written", [b"fine", rb"cut \ud83d", rb"\\ud83d \ud83d\ude00"])
def test_a_result_tells_its_origin_whatever_somebody_has_written(written: bytes) -> None:
    """An item is published as it comes, half an emoji included."""
    value = b"{" + ORIGIN + b',"item":{"output_data":{"text":"' + written + b'"}}}'
    assert result_origin(value) == (Coordinates("in", 3, 7), "")


def test_a_result_tells_its_origin_however_deep_it_is() -> None:
    """What an item holds may be nested deeper than a decoder reads."""
    value = b"{" + ORIGIN + b',"item":{"output_data":' + b"[" * 5000 + b"]" * 5000 + b"}}"
    assert result_origin(value) == (Coordinates("in", 3, 7), "")


@pytest.mark.parametrize("value", [None, b"", b"{}", b'{"origin":7}', b'{"origin":null', rb'{"a":"\ud83d"'])
def test_no_result(value: bytes | None) -> None:
    """What is none is named as such."""
    with pytest.raises(ValueError, match="no result"):
        result_origin(value)
