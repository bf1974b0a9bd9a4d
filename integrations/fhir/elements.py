"""Elements of a foreign resource, by the type that FHIR gives them: one of another type is not there.

A server may answer anything. So nothing of an answer is used without its type having been looked at.
"""

from collections.abc import Mapping
from typing import Any

from integrations.fhir.wire import Resource


def text(resource: Mapping[str, Any], name: str) -> str:
    """Value of a primitive that is text; empty when there is none."""
    value = resource.get(name)
    return value if isinstance(value, str) else ""


def texts(resource: Mapping[str, Any], name: str) -> list[str]:
    """Values of a repeating primitive that is text."""
    return [value for value in _listed(resource, name) if isinstance(value, str)]


def one(resource: Mapping[str, Any], name: str) -> Resource:
    """Give the element that is a complex type; empty when there is none."""
    value = resource.get(name)
    return value if isinstance(value, dict) else {}


def many(resource: Mapping[str, Any], name: str) -> list[Resource]:
    """Elements of a repeating complex type."""
    return [value for value in _listed(resource, name) if isinstance(value, dict)]


def codings(concept: Mapping[str, Any]) -> list[tuple[str, str]]:
    """System and code of each coding of a CodeableConcept; those without a code are left out."""
    found = ((text(item, "system"), text(item, "code")) for item in many(concept, "coding"))
    return [(system, code) for system, code in found if code]


def has_code(concept: Mapping[str, Any], *codes: str) -> bool:
    """Whether one of a concept's codes, in whichever system, is one of these."""
    return any(code in codes for _, code in codings(concept))


def version(resource: Mapping[str, Any]) -> str | None:
    """Version of a resource; None when the server keeps none."""
    return text(one(resource, "meta"), "versionId") or None


def source(resource: Mapping[str, Any]) -> str:
    """Name a resource in the version that was read: ``Patient/123/_history/4``."""
    reference = f"{text(resource, 'resourceType')}/{text(resource, 'id')}"
    read = version(resource)
    return reference if read is None else f"{reference}/_history/{read}"


def local(reference: str, base_url: str) -> str:
    """Return a literal reference relative to the server that gave it; empty when it leads elsewhere.

    Another server's ``Patient/123`` is not this one's.
    """
    within = reference.removeprefix(f"{base_url.rstrip('/')}/").partition("/_history/")[0]
    parts = within.split("/")
    return within if len(parts) == 2 and all(parts) and ":" not in within else ""


def _listed(resource: Mapping[str, Any], name: str) -> list[Any]:
    value = resource.get(name)
    return value if isinstance(value, list) else []
