"""Try a FHIR server for everything that is wanted of it, and say what its administrator must change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from integrations.errors import IntegrationError, Refused
from integrations.fhir.client import FhirClient, token
from integrations.fhir.wire import Resource
from integrations.probe import Probe

SYSTEM = "urn:overread:check"
"""``identifier.system`` of what a check looks for and writes; no patient has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What is wanted of a server.

    Parameters
    ----------
    interactions
        Codes of `CapabilityStatement.rest.resource.interaction` by type.
    searches
        Search parameters by type.
    conditional_create
        Types that must be created only when their identifier does not exist.
    system
        Codes of `CapabilityStatement.rest.interaction`.
    """

    interactions: Mapping[str, tuple[str, ...]]
    searches: Mapping[str, tuple[str, ...]]
    conditional_create: tuple[str, ...] = ()
    system: tuple[str, ...] = ()

    def and_also(self, other: "Needs") -> "Needs":
        """Return what either of two wants."""
        return Needs(
            interactions=_both(self.interactions, other.interactions),
            searches=_both(self.searches, other.searches),
            conditional_create=(*self.conditional_create, *other.conditional_create),
            system=(*self.system, *other.system),
        )


CONTEXT = Needs(
    interactions={"Patient": ("read", "search-type")}, searches={"Patient": ("identifier",)}
)
"""To know the patient."""

RESULTS = Needs(
    interactions={
        "DiagnosticReport": ("read", "search-type", "create", "update"),
        "Observation": ("read", "create", "update"),
        "ImagingStudy": ("create",),
        "Device": ("create",),
        "Provenance": ("create",),
    },
    searches={"DiagnosticReport": ("identifier",)},
    conditional_create=("DiagnosticReport", "Observation", "ImagingStudy", "Device"),
    system=("transaction",),
)
"""To write a result in one transaction and take it back."""

ORDERS = Needs(
    interactions={"ServiceRequest": ("read", "search-type"), "Patient": ("read",)},
    searches={"ServiceRequest": ("identifier",)},
)
"""To be asked for orders."""


def probe(client: FhirClient, needs: Needs) -> tuple[Probe, ...]:
    """Read what the server says of itself, then search and so try the token."""
    tried = [_metadata(client, needs), _read(client)]
    return tuple(one for probes in tried for one in probes)


def probe_write(client: FhirClient, name: str) -> Probe:
    """Write a Device that stands for nothing, twice, and mark it as entered in error.

    Parameters
    ----------
    name
        Another one for each check: the identifier of the Device.
    """
    title = "write and withdraw"
    device = {
        "resourceType": "Device",
        "identifier": [{"system": SYSTEM, "value": name}],
        "status": "inactive",
        "deviceName": [{"name": "Overread check", "type": "user-friendly-name"}],
    }
    try:
        for _ in range(2):
            client.transact(_create(device, name))
        found = client.search("Device", {"identifier": token(SYSTEM, name)})
        for one in found:
            client.transact(_update({**one, "status": "entered-in-error"}))
        after = client.search("Device", {"identifier": token(SYSTEM, name)})
    except IntegrationError as error:
        change = "allow create and update of Device in a transaction to the client of this node"
        return Probe(name=title, passed=False, said=str(error), change=change)
    statuses = [one.get("status") for one in after]
    if len(found) != 1:
        said = (
            f"a Device that was created twice under one identifier stands there {len(found)} times"
        )
        change = "make conditional create (ifNoneExist) work in transactions"
        return Probe(name=title, passed=False, said=said, change=change)
    if statuses != ["entered-in-error"]:
        change = "let an update with ifMatch in a transaction change a resource"
        return Probe(
            name=title, passed=False, said="what was written stays as it was", change=change
        )
    return Probe(name=title, passed=True, said=f"one Device, marked as entered in error ({name})")


def _metadata(client: FhirClient, needs: Needs) -> list[Probe]:
    try:
        statement = client.read("metadata")
    except IntegrationError as error:
        return [Probe(name="metadata", passed=False, said=str(error), change=_reach(client, error))]
    version = str(statement.get("fhirVersion", ""))
    if not version.startswith("4."):
        change = f"give this node the base URL of an R4 service instead of {client.base_url}"
        said = f"FHIR {version or 'of no version'}"
        return [Probe(name="metadata", passed=False, said=said, change=change)]
    probes = [Probe(name="metadata", passed=True, said=f"FHIR {version}")]
    server = next((one for one in _list(statement, "rest") if one.get("mode") == "server"), {})
    return [*probes, *_capabilities(server, needs)]


def _capabilities(server: Mapping[str, Any], needs: Needs) -> list[Probe]:
    known = {one.get("type"): one for one in _list(server, "resource")}
    system = [code for code in needs.system if code not in _codes(server)]
    missing: list[str] = []
    for kind, codes in needs.interactions.items():
        lacking = [code for code in codes if code not in _codes(known.get(kind, {}))]
        missing += [f"{kind}: {', '.join(lacking)}"] if lacking else []
    for kind, names in needs.searches.items():
        has = {one.get("name") for one in _list(known.get(kind, {}), "searchParam")}
        missing += [f"{kind}: search by {name}" for name in names if name not in has]
    unconditional = [
        kind
        for kind in dict.fromkeys(needs.conditional_create)
        if known.get(kind, {}).get("conditionalCreate") is not True
    ]
    probes = [_told("interactions", missing, "offer to the client of this node")]
    if needs.system:
        probes.append(_told("transaction", system, "offer"))
    if needs.conditional_create:
        probes.append(_told("conditional create", unconditional, "offer conditional create of"))
    return probes


def _told(name: str, missing: Sequence[str], change: str) -> Probe:
    if not missing:
        return Probe(name=name, passed=True, said="all that is wanted")
    listed = "; ".join(missing)
    return Probe(name=name, passed=False, said=f"lacks {listed}", change=f"{change} {listed}")


def _read(client: FhirClient) -> list[Probe]:
    """Search a patient whom nobody has: whoever answers with an empty list knows us."""
    try:
        found = client.search("Patient", {"identifier": token(SYSTEM, "nobody")})
    except Refused as error:
        if error.reason.removeprefix("EHR-") == "401":
            return [
                Probe(
                    name="token",
                    passed=False,
                    said=str(error),
                    change="give this node a token or key that the server knows, and see that it has not ended",
                )
            ]
        change = (
            "allow search and read of Patient to the client of this node (scope system/Patient.rs)"
        )
        return [
            Probe(name="token", passed=True, said="known"),
            Probe(name="read", passed=False, said=str(error), change=change),
        ]
    except IntegrationError as error:
        return [Probe(name="read", passed=False, said=str(error), change=_reach(client, error))]
    token_known = Probe(name="token", passed=True, said="known")
    if found:
        said = f"a search by an identifier that nobody has finds {len(found)} patients"
        change = "make the server search Patient by identifier: it ignores the parameter"
        return [token_known, Probe(name="read", passed=False, said=said, change=change)]
    return [token_known, Probe(name="read", passed=True, said="searches Patient by identifier")]


def _reach(client: FhirClient, error: IntegrationError) -> str:
    if isinstance(error, Refused):
        return f"see that {client.base_url} is the base URL of the service, and open to this node"
    return f"start the service at {client.base_url}, or open the way to it"


def _create(device: Resource, name: str) -> Resource:
    request = {
        "method": "POST",
        "url": "Device",
        "ifNoneExist": f"identifier={SYSTEM}|{name}",
    }
    return _transaction(device, request)


def _update(device: Resource) -> Resource:
    request = {"method": "PUT", "url": f"Device/{device['id']}"}
    version = device.get("meta", {}).get("versionId")
    if version is not None:
        request["ifMatch"] = f'W/"{version}"'
    return _transaction(device, request)


def _transaction(resource: Resource, request: Mapping[str, str]) -> Resource:
    entry = {"resource": resource, "request": dict(request)}
    return {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}


def _list(of: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return a list of a foreign statement; empty when it is none."""
    found = of.get(key)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _codes(of: Mapping[str, Any]) -> set[str]:
    return {str(one.get("code")) for one in _list(of, "interaction")}


def _both(
    one: Mapping[str, tuple[str, ...]], other: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    return {
        key: tuple(dict.fromkeys((*one.get(key, ()), *other.get(key, ()))))
        for key in (*one, *(kind for kind in other if kind not in one))
    }
