"""How resources are written so that a second call finds what the first one wrote: three ways.

A conditional transaction writes all or nothing. Where a server has none, every resource is written for itself,
in the order in which they refer to each other: found by its identifier or under an id that is derived from it,
and only then created. A call that was cut off anywhere is taken up where it stopped.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from integrations.errors import Refused, Unavailable
from integrations.fhir.answers import Held, entries, held
from integrations.fhir.client import FhirClient, token
from integrations.fhir.composition import Write, uid_of
from integrations.fhir.resources import checked, linked
from integrations.fhir.wire import Resource
from integrations.lineage import derived_uuid

GONE = frozenset(f"EHR-{status}" for status in (404, 410))
"""Reasons of a reading that finds nothing: it was never there, or somebody has deleted it."""
CHANGED = f"EHR-{412}"
"""Reason of a writing that names another version than the server has, or has several matches."""
MOST_GENERATIONS = 20
"""How often one report may be withdrawn and written anew under derived ids."""


class Strategy(StrEnum):
    """How a site wants to be written to."""

    TRANSACTION = "transaction"
    PUT = "put"
    SEARCH = "search"


class Writer(Protocol):
    """One way of writing."""

    def heads(self, resource_type: str, identifiers: Sequence[Resource]) -> list[Held]:
        """Return the reports or documents that carry one of the identifiers, withdrawn ones too.

        Parameters
        ----------
        identifiers
            That of the report through its revisions first, then that of its version.
        """

    def find(self, resource: Resource, generation: int) -> Held | None:
        """Return what stands under the first identifier of a resource and is not withdrawn.

        Parameters
        ----------
        generation
            How many reports under the same identifier were withdrawn before.
        """

    def write(self, writes: Sequence[Write], generation: int) -> Mapping[str, str]:
        """Write them; return where each of them stands, by its name.

        Raises
        ------
        Unavailable
            The server cannot take it now, or somebody changed a resource meanwhile.
        Refused
            It will not take it.
        """


def search(client: FhirClient, resource_type: str, identifiers: Sequence[Resource]) -> list[Held]:
    """Return the resources that carry one of the identifiers, whatever a server takes the question for."""
    values = ",".join(token(one["system"], one["value"]) for one in identifiers)
    found = map(_found, client.search(resource_type, {"identifier": values}))
    return [one for one in found if any(map(one.carries, identifiers))]


def the_only(found: Sequence[Held]) -> Held | None:
    """Return the one that is not withdrawn; None when there is none.

    Raises
    ------
    Refused
        There are several: nobody can say which of them is meant.
    """
    standing = [one for one in found if not one.withdrawn]
    if len(standing) > 1:
        kind = standing[0].resource.get("resourceType")
        raise Refused("EHR-SEVERAL", f"several {kind} resources carry one identifier")
    return standing[0] if standing else None


class ByTransaction:
    """All or nothing: one transaction of conditional creates and of updates of the versions that were read.

    Parameters
    ----------
    client
        The server.
    """

    def __init__(self, client: FhirClient) -> None:
        self._client = client

    def heads(self, resource_type: str, identifiers: Sequence[Resource]) -> list[Held]:
        """Search for them."""
        return search(self._client, resource_type, identifiers)

    def find(self, resource: Resource, generation: int) -> Held | None:
        """Search for it."""
        found = search(self._client, resource["resourceType"], resource["identifier"][:1])
        return the_only(found)

    def write(self, writes: Sequence[Write], generation: int) -> Mapping[str, str]:
        """Send one transaction.

        Raises
        ------
        Unavailable
            The server cannot take it now, or somebody changed a resource meanwhile.
        Refused
            It will not take it.
        """
        try:
            answer = self._client.transact(bundle(writes))
            references = entries(answer, len(writes))
        except Refused as error:
            if error.reason == CHANGED and any(one.held for one in writes):
                raise Unavailable("a resource was changed meanwhile") from error
            raise
        if references is None:
            return {}
        return {one.name: where for one, where in zip(writes, references, strict=True)}


def bundle(writes: Sequence[Write]) -> Resource:
    """Build the transaction that writes resources.

    Raises
    ------
    ValueError
        A resource is not valid: a mistake of ours.
    """
    sent = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [_entry(one) for one in writes],
    }
    return checked(sent) if all(one.held is None for one in writes) else sent


class OneByOne:
    """One resource after the other, each found before it is created.

    Parameters
    ----------
    client
        The server.
    """

    def __init__(self, client: FhirClient) -> None:
        self._client = client

    def heads(self, resource_type: str, identifiers: Sequence[Resource]) -> list[Held]:
        """Search for them."""
        return search(self._client, resource_type, identifiers)

    def find(self, resource: Resource, generation: int) -> Held | None:
        """Search for it."""
        found = search(self._client, resource["resourceType"], resource["identifier"][:1])
        return the_only(found)

    def write(self, writes: Sequence[Write], generation: int) -> Mapping[str, str]:
        """Write each resource that is not there yet in this version.

        Raises
        ------
        TypeError
            A resource is no object: a mistake of ours.
        Unavailable
            The server cannot take it now, or somebody changed a resource meanwhile.
        Refused
            It will not take it.
        """
        places: dict[str, str] = {}
        for one in writes:
            links = {name: {"reference": where} for name, where in places.items()}
            body = linked(one.resource, links)
            if not isinstance(body, dict):  # a resource is an object, whatever is put in it
                raise TypeError("a resource is no object")
            places[one.name] = self._write(one, body, generation)
        return places

    def _write(self, write: Write, body: Resource, generation: int) -> str:
        standing = write.held
        if standing is None and "identifier" in body:
            standing = self.find(body, generation)
        elif standing is None:
            standing = self._trail(write, body, generation)
        if standing is None:
            return self._create(write, body, generation)
        if not write.shared and not _is_version(standing, body):
            self._update(standing, body)
        return standing.reference

    def _update(self, standing: Held, body: Resource) -> None:
        resource = {**body, "id": standing.reference.split("/")[-1]}
        try:
            self._client.write("PUT", standing.reference, resource, if_match=standing.etag)
        except Refused as error:
            if error.reason == CHANGED:
                raise Unavailable("a resource was changed meanwhile") from error
            raise

    def _create(self, write: Write, body: Resource, generation: int) -> str:
        """Create it and return where it stands.

        Raises
        ------
        Refused
            The server does not tell, and does not have it (``EHR-LOST``).
        """
        written = self._client.write("POST", body["resourceType"], body)
        if written.reference is not None:
            return written.reference
        if "identifier" not in body:  # nobody refers to it
            return ""
        found = self.find(body, generation)
        if found is None:
            raise Refused("EHR-LOST", "the server took a resource and does not have it")
        return found.reference

    def _trail(self, write: Write, body: Resource, generation: int) -> Held | None:
        """Return the Provenance of the same report and moment; None where none can be found."""
        target = body["target"][0]["reference"]
        try:
            found = self._client.search("Provenance", {"target": target})
        except Refused:  # a server without that search parameter gets a second one at worst
            return None
        same = [one for one in found if _same_moment(one.get("recorded"), body["recorded"])]
        return _found(same[0]) if same else None


class ById(OneByOne):
    """One after the other, under ids that follow from the identifiers: the server lets us choose ids.

    What is not ours alone is searched for first. An id whose resource was withdrawn stays taken by it: the next
    one is of the next generation.
    """

    def heads(self, resource_type: str, identifiers: Sequence[Resource]) -> list[Held]:
        """Read every generation of the report, until there is none.

        Raises
        ------
        Refused
            There are too many (``EHR-WITHDRAWN-OFTEN``).
        """
        found: list[Held] = []
        for generation in range(MOST_GENERATIONS):
            one = self._read(resource_type, _id(uid_of(identifiers[0]), generation))
            if one is None:
                return found
            found.append(one)
        raise Refused("EHR-WITHDRAWN-OFTEN", f"withdrawn {MOST_GENERATIONS} times")

    def find(self, resource: Resource, generation: int) -> Held | None:
        """Read it."""
        if resource["resourceType"] in {"Device", "ImagingStudy"}:
            return super().find(resource, generation)
        standing = self._read(resource["resourceType"], self._id_of(resource, generation))
        return None if standing is None or standing.withdrawn else standing

    def _create(self, write: Write, body: Resource, generation: int) -> str:
        if write.shared:
            own = self._free(body)
        elif "identifier" in body:
            own = self._id_of(body, generation)
        else:
            own = _id(write.name, generation)
        self._client.write("PUT", f"{body['resourceType']}/{own}", {**body, "id": own})
        return f"{body['resourceType']}/{own}"

    def _trail(self, write: Write, body: Resource, generation: int) -> Held | None:
        return self._read(body["resourceType"], _id(write.name, generation))

    def _free(self, body: Resource) -> str:
        """Return the first id under which nothing stands; what stands there was withdrawn.

        Raises
        ------
        Refused
            There are too many (``EHR-WITHDRAWN-OFTEN``).
        """
        for generation in range(MOST_GENERATIONS):
            own = self._id_of(body, generation)
            if self._read(body["resourceType"], own) is None:
                return own
        raise Refused("EHR-WITHDRAWN-OFTEN", f"withdrawn {MOST_GENERATIONS} times")

    def _id_of(self, resource: Resource, generation: int) -> str:
        return _id(uid_of(resource["identifier"][0]), generation)

    def _read(self, resource_type: str, own: str) -> Held | None:
        try:
            return self._client.hold(f"{resource_type}/{own}")
        except Refused as error:
            if error.reason in GONE:
                return None
            raise


def writer(strategy: Strategy, client: FhirClient) -> Writer:
    """Return the way of writing that a site wants."""
    kinds: dict[Strategy, type[ByTransaction] | type[OneByOne]] = {
        Strategy.TRANSACTION: ByTransaction,
        Strategy.PUT: ById,
        Strategy.SEARCH: OneByOne,
    }
    return kinds[strategy](client)


def _entry(write: Write) -> Resource:
    """Update the version that was read, or create on condition that the first identifier does not exist."""
    resource_type = write.resource["resourceType"]
    if write.held is not None:
        own = {**write.resource, "id": write.held.reference.split("/")[-1]}
        request = {"method": "PUT", "url": write.held.reference}
        if write.held.etag is not None:
            request["ifMatch"] = write.held.etag
        return {"fullUrl": write.name, "resource": own, "request": request}
    request = {"method": "POST", "url": resource_type}
    if "identifier" in write.resource:
        first = write.resource["identifier"][0]
        request["ifNoneExist"] = f"identifier={token(first['system'], first['value'])}"
    return {"fullUrl": write.name, "resource": write.resource, "request": request}


def _is_version(standing: Held, body: Resource) -> bool:
    """Whether what stands there is this very version: somebody cut us off behind it."""
    if "identifier" not in body:
        return True
    versions = body["identifier"][1:2]
    if body.get("status") == "entered-in-error":
        return standing.withdrawn
    return bool(versions) and standing.carries(versions[0])


def _same_moment(told: object, ours: str) -> bool:
    try:
        return datetime.fromisoformat(str(told)) == datetime.fromisoformat(ours)
    except (ValueError, TypeError):
        return False


def _found(resource: Resource) -> Held:
    return held(None, resource)


def _id(key: str, generation: int) -> str:
    return str(derived_uuid("id", key, str(generation)))
