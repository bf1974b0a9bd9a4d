import pytest

from inference.errors import (
    CardInvalid,
    GateRefused,
    InferenceError,
    ModelFailed,
    SeriesUnusable,
    ServerUnavailable,
    TritonAbsent,
)
from integrations.errors import (
    IntegrationError,
    NotVerified,
    Refused,
    SyntaxRefused,
    Unavailable,
)
from node.errors import OutOfResources
from node.pipeline.retry import (
    FIRST_DELAY_S,
    LONGEST_DELAY_S,
    Again,
    Handled,
    Park,
    decide,
)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SeriesUnusable("GAP", "one slice"), "GAP"),
        (CardInvalid("card.toml: model.name"), "CARD-INVALID"),
        (ModelFailed("NaN"), "MODEL-FAILED"),
        (GateRefused(("no Series Number",)), "RESULT-REFUSED-BY-GATE"),
        (Refused("PACS-A900", "no"), "PACS-A900"),
        (SyntaxRefused("NO-PRESENTATION-CONTEXT", "SEG"), "NO-PRESENTATION-CONTEXT"),
        (NotVerified("NAME-DIFFERS", "no"), "NAME-DIFFERS"),
    ],
)
def test_what_would_fail_again_is_parked_with_its_reason(error: Exception, reason: str) -> None:
    verdict = decide(error, 1)
    assert isinstance(verdict, Park)
    assert verdict.reason == reason
    assert verdict.detail


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ServerUnavailable("no answer"), "MODEL-SERVER-UNAVAILABLE"),
        (TritonAbsent("no wheel"), "MODEL-SERVER-UNAVAILABLE"),
        (Unavailable("no answer"), "PEER-UNAVAILABLE"),
        (OutOfResources("disk"), "OUT-OF-RESOURCES"),
    ],
)
def test_what_may_pass_is_tried_again(error: Exception, reason: str) -> None:
    assert decide(error, 1) == Again(FIRST_DELAY_S, reason)


def test_pauses_double_to_a_longest_one_and_never_end() -> None:
    verdicts = [decide(Unavailable("away"), attempt) for attempt in (*range(1, 30), 5_000_000)]
    delays = [verdict.after_s for verdict in verdicts if isinstance(verdict, Again)]
    assert delays[:4] == [2, 4, 8, 16]
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_DELAY_S
    assert len(delays) == 30


def test_every_error_of_the_libraries_is_somebodys_to_mend() -> None:
    kinds = [*InferenceError.__subclasses__(), *IntegrationError.__subclasses__()]
    assert [kind.__name__ for kind in kinds if not issubclass(kind, Handled)] == []
    assert not issubclass(ZeroDivisionError, Handled)
