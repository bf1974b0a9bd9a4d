"""What everybody who is asked for orders promises, held on the double, a FHIR server and a worklist."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom.sop_class import ModalityWorklistInformationFind

from integrations.errors import Refused, Unavailable
from integrations.fhir.client import FhirClient
from integrations.fhir.orders import FhirOrders
from integrations.order import Order, OrderSource, PatientKey, Urgency
from integrations.pacs.peer import DicomPeer
from integrations.pacs.worklist import WorklistOrders
from integrations.testing import MemoryOrders
from tests.peers import free_port
from tests.peers.refusing import AE_TITLE, running_refusing
from tests.peers.sekmet import MRN_SYSTEM, Sekmet
from tests.peers.worklist import Worklist, running_worklist

ACCESSIONS = "urn:oid:2.16.840.1.113883.19.5.7"
TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
Add = Callable[[Order], None]


@pytest.fixture(scope="module")
def worklist(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worklist]:
    with running_worklist(tmp_path_factory.mktemp("worklist")) as server:
        yield server


@pytest.fixture(
    params=[
        "memory",
        pytest.param("sekmet", marks=pytest.mark.peers),
        pytest.param("worklist", marks=pytest.mark.peers),
    ]
)
def source(request: pytest.FixtureRequest) -> tuple[OrderSource, Add]:
    if request.param == "memory":
        double = MemoryOrders()
        return double, double.known.append
    server = request.getfixturevalue(request.param)
    if isinstance(server, Sekmet):
        return FhirOrders(FhirClient(server.base_url), ACCESSIONS), lambda one: ordered(server, one)
    peer = DicomPeer(ae_title=server.ae_title, host="127.0.0.1", port=server.port)
    return WorklistOrders(peer), lambda one: listed(server, one)


def identifier(system: str, value: str, kind: str | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"system": system, "value": value}
    return made if kind is None else {**made, "type": {"coding": [{"system": TYPES, "code": kind}]}}


def ordered(server: Sekmet, order: Order) -> None:
    """Write an order as a department's request that is based on that of who ordered."""
    (number,) = order.patient
    patient = server.create({
        "resourceType": "Patient",
        "identifier": [identifier(MRN_SYSTEM, number.patient_id)],
    })
    common = {
        "resourceType": "ServiceRequest",
        "intent": "order",
        "status": "active",
        "subject": {"reference": f"Patient/{patient['id']}"},
    }
    priorities = {Urgency.STAT: "stat", Urgency.HIGH: "urgent", Urgency.ROUTINE: "routine"}
    basis = server.create({
        **common,
        "identifier": [identifier("urn:placers", order.placer_order_number, "PLAC")],
        "priority": priorities[order.urgency],
        "reasonCode": [{"text": order.reason}],
    })
    server.create({
        **common,
        "identifier": [
            identifier(ACCESSIONS, order.accession_number, "ACSN"),
            identifier("urn:fillers", order.filler_order_number, "FILL"),
        ],
        "basedOn": [{"reference": f"ServiceRequest/{basis['id']}"}],
    })


def listed(server: Worklist, order: Order) -> None:
    (number,) = order.patient
    server.add(
        AccessionNumber=order.accession_number,
        PatientID=number.patient_id,
        IssuerOfPatientID=number.authority or "",
        PlacerOrderNumberImagingServiceRequest=order.placer_order_number,
        FillerOrderNumberImagingServiceRequest=order.filler_order_number,
        RequestedProcedurePriority=order.urgency,
        ReasonForTheRequestedProcedure=order.reason,
    )


def order(accession_number: str, **changes: Any) -> Order:
    values: dict[str, Any] = {
        "accession_number": accession_number,
        "patient": (PatientKey(patient_id=f"OVR-{accession_number}", authority=MRN_SYSTEM),),
        "placer_order_number": "P1",
        "filler_order_number": "F1",
        "urgency": Urgency.STAT,
        "reason": "Shortness of breath",
        **changes,
    }
    return Order(**values)


def test_an_order_is_found_with_all_that_it_says(source: tuple[OrderSource, Add]) -> None:
    asked, add = source
    mine, other = order("C1"), order("C2", urgency=Urgency.HIGH, reason="Fall")
    for one in (mine, other):
        add(one)
    assert list(asked.orders("C1")) == [mine]
    assert list(asked.orders("C2")) == [other]


def test_several_orders_of_one_accession_number_are_all_told(
    source: tuple[OrderSource, Add],
) -> None:
    asked, add = source
    both = [order("C3", placer_order_number="P1"), order("C3", placer_order_number="P2")]
    for one in both:
        add(one)
    assert {one.placer_order_number for one in asked.orders("C3")} == {"P1", "P2"}


@pytest.mark.parametrize("accession_number", ["C404", "C*", "C?", "C1,C2", "C1\\C2", "|C1", "c1"])
def test_what_is_not_an_orders_number_finds_none(
    source: tuple[OrderSource, Add], accession_number: str
) -> None:
    asked, add = source
    add(order("C1"))
    assert list(asked.orders(accession_number)) == []


def test_somebody_who_is_not_there_is_unavailable() -> None:
    nobody = DicomPeer(ae_title="NOBODY", host="127.0.0.1", port=free_port(), acse_timeout_s=2)
    with pytest.raises(Unavailable):
        WorklistOrders(nobody).orders("C1")
    with pytest.raises(Unavailable):
        FhirOrders(FhirClient(f"http://127.0.0.1:{free_port()}/fhir")).orders("C1")
    with pytest.raises(Unavailable):
        MemoryOrders(failures=[Unavailable("not now")]).orders("C1")


def test_a_worklist_is_never_asked_with_a_wild_card() -> None:
    nobody = DicomPeer(ae_title="NOBODY", host="127.0.0.1", port=free_port(), acse_timeout_s=2)
    assert WorklistOrders(nobody).orders("C*") == []


def test_an_item_that_was_not_asked_for_is_left_out() -> None:
    item = Dataset()
    item.AccessionNumber, item.PatientID = "C1", "OVR-1"
    model = ModalityWorklistInformationFind
    with running_refusing(storage=[], also=[model], items=[item]) as port:
        lenient = WorklistOrders(DicomPeer(ae_title=AE_TITLE, host="127.0.0.1", port=port))
        assert [one.accession_number for one in lenient.orders("C1")] == ["C1"]
        assert lenient.orders("C2") == []


@pytest.mark.peers
def test_an_archive_that_is_no_worklist_refuses(orthanc: Any) -> None:
    peer = DicomPeer(ae_title=orthanc.ae_title, host="127.0.0.1", port=orthanc.dicom_port)
    with pytest.raises(Refused, match="NO-PRESENTATION-CONTEXT"):
        WorklistOrders(peer).orders("C1")
