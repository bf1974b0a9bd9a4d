from decimal import Decimal

import pytest

from integrations.fhir.wire import decode, encode


@pytest.mark.parametrize(
    ("digits", "written"),
    [("8.50", "8.50"), ("1502.30", "1502.30"), ("14200", "14200"), ("-1E-6", "-0.000001")],
)
def test_keeps_the_digits_of_a_decimal(digits: str, written: str) -> None:
    assert encode({"value": Decimal(digits)}) == f'{{"value":{written}}}'


def test_reads_decimals_as_they_stand() -> None:
    read = decode('{"value": 8.50, "count": 3}')
    assert str(read["value"]) == "8.50"
    assert read["count"] == 3


def test_writes_what_it_read() -> None:
    text = '{"a":[1,2.50,{"b":null,"c":true}],"d":"Müller \\"x\\""}'
    assert encode(decode(text)) == text


@pytest.mark.parametrize("text", ["[1]", "<html>Doe</html>", ""])
def test_refuses_what_is_no_object_without_quoting_it(text: str) -> None:
    with pytest.raises(ValueError, match="not") as refused:
        decode(text)
    assert "Doe" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_refuses_what_json_has_no_form_for() -> None:
    with pytest.raises(TypeError):
        encode({"value": object()})
