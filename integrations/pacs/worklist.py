"""Orders as a Modality Worklist tells them (PS3.4 Annex K), asked by Accession Number."""

from collections.abc import Mapping
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import ModalityWorklistInformationFind

from integrations.errors import Refused, Unavailable
from integrations.order import Order, PatientKey, Urgency
from integrations.pacs.peer import DicomPeer, associated, reason_code, status_of

_PENDING = frozenset({0xFF00, 0xFF01})
_RESOURCES = 0xA700
_MOST = 100
"""Items of one answer; an accession number has a few."""

_WANTED = (
    "AccessionNumber",
    "PatientID",
    "IssuerOfPatientID",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
    "RequestedProcedurePriority",
    "ReasonForTheRequestedProcedure",
)
_URGENCIES: Mapping[str, Urgency] = {str(one): one for one in Urgency}


class WorklistOrders:
    """The `OrderSource` that is a worklist.

    Parameters
    ----------
    peer
        The worklist's application entity.
    """

    def __init__(self, peer: DicomPeer) -> None:
        self._peer = peer

    def orders(self, accession_number: str) -> list[Order]:
        """Every item of the worklist with an accession number that names its patient.

        Raises
        ------
        Unavailable
            The worklist cannot be reached, is out of resources, or broke off its answer.
        Refused
            It has no worklist service, does not know us, or fails the query (``PACS-C001``).
        """
        if set(accession_number) & set("*?\\"):
            return []  # wild cards and lists (PS3.4 C.2.2.2): it would match orders of others
        asked = _identifier(accession_number)
        found: list[Order] = []
        with associated(
            self._peer, [build_context(ModalityWorklistInformationFind)]
        ) as association:
            for answer, item in association.send_c_find(asked, ModalityWorklistInformationFind):
                status = status_of(answer, self._peer)
                if status not in _PENDING:
                    self._check(status)
                elif item is not None and len(found) < _MOST:
                    order = _order(item)
                    # one that matches in its own way, without case or by its beginning, is not what was asked
                    if order is not None and order.accession_number == accession_number:
                        found.append(order)
        return list(dict.fromkeys(found))

    def _check(self, status: int) -> None:
        if status == _RESOURCES:
            raise Unavailable(f"{self._peer} has no resources for a query now")
        if status != 0:
            raise Refused(reason_code(status), f"{self._peer} failed a worklist query")


def _identifier(accession_number: str) -> Dataset:
    asked = Dataset()
    for keyword in _WANTED:
        setattr(asked, keyword, "")
    asked.AccessionNumber = accession_number
    step = Dataset()  # required of every query (PS3.4 K.6.1.2.2)
    for keyword in ("Modality", "ScheduledProcedureStepStartDate", "ScheduledStationAETitle"):
        setattr(step, keyword, "")
    asked.ScheduledProcedureStepSequence = [step]
    return asked


def _order(item: Dataset) -> Order | None:
    number = _text(item.get("PatientID"))
    if not number:
        return None
    authority = _text(item.get("IssuerOfPatientID")) or None
    urgency = _text(item.get("RequestedProcedurePriority")).upper()
    return Order(
        accession_number=_text(item.get("AccessionNumber")),
        patient=(PatientKey(patient_id=number, authority=authority),),
        placer_order_number=_text(item.get("PlacerOrderNumberImagingServiceRequest")),
        filler_order_number=_text(item.get("FillerOrderNumberImagingServiceRequest")),
        urgency=_URGENCIES.get(urgency, Urgency.ROUTINE),
        reason=_text(item.get("ReasonForTheRequestedProcedure")),
    )


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip(" \0")
