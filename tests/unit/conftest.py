"""Unit tests open no connection: sockets of the internet families are refused."""

from collections.abc import Iterator

import pytest
from pytest_socket import disable_socket, enable_socket


@pytest.fixture(autouse=True)
def _no_socket() -> Iterator[None]:
    disable_socket(allow_unix_socket=True)  # event loops wake themselves over a unix pair
    yield
    enable_socket()
