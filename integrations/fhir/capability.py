"""What a server says that it can do (FHIR R4 CapabilityStatement), where a site leaves the choice to it."""

from dataclasses import dataclass
from typing import Any

from integrations.errors import Refused
from integrations.fhir.answers import objects
from integrations.fhir.client import FhirClient
from integrations.fhir.composition import OPTIONAL, Kind
from integrations.fhir.strategies import Strategy
from integrations.fhir.wire import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a server can do for us.

    Parameters
    ----------
    strategy
        The best way of writing that it says it has.
    refuses
        Types beside the report that it does not let anybody create.
    """

    strategy: Strategy
    refuses: frozenset[str]


MOST_CAREFUL = Abilities(strategy=Strategy.SEARCH, refuses=frozenset())
"""Where a server says nothing that can be read: what every server has."""


def abilities(client: FhirClient, kind: Kind) -> Abilities:
    """Ask a server what it can do.

    Parameters
    ----------
    kind
        What is written there.

    Raises
    ------
    Unavailable
        The server cannot be asked now.
    """
    try:
        return judged(client.read("metadata"), kind)
    except Refused:
        return MOST_CAREFUL


def judged(statement: Resource, kind: Kind) -> Abilities:
    """Return what a CapabilityStatement promises; nothing that it does not say in so many words."""
    servers = [one for one in objects(statement.get("rest")) if one.get("mode") == "server"]
    if not servers:
        return MOST_CAREFUL
    types = {str(one.get("type")): one for one in objects(servers[0].get("resource"))}
    named = {kind.value, "Observation"} if kind is Kind.REPORT else {kind.value}
    wanted = [types.get(one, {}) for one in sorted(named)]
    creates = {name for name, one in types.items() if "create" in _codes(one)}
    creates |= {name for name, one in types.items() if one.get("updateCreate") is True}
    refuses = OPTIONAL - creates if types else frozenset()
    if "transaction" in _codes(servers[0]) and all(
        one.get("conditionalCreate") is True for one in wanted
    ):
        return Abilities(strategy=Strategy.TRANSACTION, refuses=frozenset(refuses))
    if all(one.get("updateCreate") is True for one in wanted):
        return Abilities(strategy=Strategy.PUT, refuses=frozenset(refuses))
    return Abilities(strategy=Strategy.SEARCH, refuses=frozenset(refuses))


def _codes(one: dict[str, Any]) -> set[str]:
    """Return the interactions of a server, or of one type."""
    return {str(item.get("code")) for item in objects(one.get("interaction"))}
