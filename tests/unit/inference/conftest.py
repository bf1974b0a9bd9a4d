from pathlib import Path

import pytest

from inference import card

REPOSITORY = Path(__file__).parents[3] / "inference" / "models"


@pytest.fixture(scope="session")
def brain_card() -> card.Card:
    return card.load(REPOSITORY / "brain-extraction")
