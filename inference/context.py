"""What a model wants to know of the patient, and what it was told.

The record's side of it (who said so, how the patient was found) is `integrations.context`; the node
translates. Absence is a normal state: a value that is not known is simply not in the context.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from inference.codes import Code

AGE = "age"
SEX = "sex"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextValue:
    """One fact about the patient at the time of the study.

    Parameters
    ----------
    concept
        What the value is (for example ``(121033, DCM, "Subject Age")``).
    value
        A number in `unit`, or a coded value.
    unit
        UCUM unit of a number; None for a coded value.
    source
        Where it was read: a FHIR reference with its version, or ``DICOM header``.
    effective
        The moment for which it holds, ISO 8601; None when the source does not say.
    """

    concept: Code
    value: float | Code
    unit: Code | None = None
    source: str
    effective: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What is known of the patient, by feature name.

    Parameters
    ----------
    values
        The known features, by the name under which a card asks for them.
    missing
        Why a feature that was asked for is not there, by name.
    """

    values: Mapping[str, ContextValue] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
