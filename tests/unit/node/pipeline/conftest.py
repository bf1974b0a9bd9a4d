from pathlib import Path

import pytest

import inference.models
from inference import card


@pytest.fixture(scope="session")
def brain_card() -> card.Card:
    return card.load(Path(inference.models.__path__[0]) / "brain-extraction")
