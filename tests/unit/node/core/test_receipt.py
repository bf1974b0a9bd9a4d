import pytest

from node.core.receipt import PREAMBLE_BYTES, Receipt

RECEIPT = Receipt(association_id="0123456789abcdef" * 2, size=2**31)


def test_a_receipt_fills_a_preamble_and_comes_back() -> None:
    preamble = RECEIPT.encode()
    assert len(preamble) == PREAMBLE_BYTES
    assert Receipt.decode(preamble) == RECEIPT


@pytest.mark.parametrize("at", [0, 15, 16, 30, 100, PREAMBLE_BYTES - 1])
def test_one_bit_makes_it_none(at: int) -> None:
    damaged = bytearray(RECEIPT.encode())
    damaged[at] ^= 1
    assert Receipt.decode(bytes(damaged)) is None


@pytest.mark.parametrize("preamble", [b"", bytes(PREAMBLE_BYTES), RECEIPT.encode()[:-1]])
def test_a_preamble_without_one(preamble: bytes) -> None:
    assert Receipt.decode(preamble) is None
