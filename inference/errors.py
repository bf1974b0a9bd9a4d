"""The errors of this library, by who acts on them.

InferenceError
├── SeriesUnusable      the data cannot answer the question: park the job, tell the reason code
├── CardInvalid         the model's card is wrong: the AI team mends it
├── ServerUnavailable   the inference server is not there or too slow: try again later
│   └── TritonAbsent        this installation has no Triton: run the models in process
├── ModelFailed         the model itself raised or answered nonsense: park the job
├── GateRefused         a result object is not fit to be sent: park the job with the report
└── AnswerUnreadable    a model's answer that was kept cannot be read: park, a rerun makes a new one
"""


class InferenceError(Exception):
    """Base of every error that this library raises on purpose."""


class SeriesUnusable(InferenceError):
    """The series cannot be analysed, and sending it again will not change that.

    Parameters
    ----------
    reason
        Machine-readable reason code, upper case with hyphens (``GAP``, ``MIXED-ORIENTATION``).
    detail
        What was found, in words, free of patient data.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class CardInvalid(InferenceError):
    """A model card breaks its own rules; the message names file, key and remedy."""


class ServerUnavailable(InferenceError):
    """The inference server did not answer in time; the same request may succeed later."""


class TritonAbsent(ServerUnavailable):
    """No Triton server can be started from this installation; the message says what is missing."""


class ModelFailed(InferenceError):
    """The model raised, or its answer has the wrong shape, type or values."""


class GateRefused(InferenceError):
    """A result object failed the gate and must not leave the node.

    Parameters
    ----------
    faults
        One sentence for each rule that the object breaks.
    """

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class AnswerUnreadable(InferenceError):
    """The file of a model's answer is damaged, or not of this model and this version of the software."""
