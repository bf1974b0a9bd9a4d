"""What a server answers to a writing, read without trust: servers differ in all that the standard leaves open.

The status of a transaction's entry may come without its text; a location may be relative or absolute, with or
without a version, or missing; an entity tag may be weak, strong or missing; a body may be empty.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from integrations.errors import Refused
from integrations.fhir.wire import Resource, decode

WITHDRAWN = "entered-in-error"
"""FHIR R4 DiagnosticReport.status, Observation.status, ImagingStudy.status, Task.status, Flag.status …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A resource that stands on a server.

    Parameters
    ----------
    reference
        ``Observation/7``.
    resource
        As the server gave it.
    etag
        Entity tag of the version that was read, as the server wrote it; None when it has no versions.
    """

    reference: str
    resource: Resource
    etag: str | None

    @property
    def versioned(self) -> str:
        """Reference to this very version, where the server tells which it is."""
        version = _meta(self.resource).get("versionId")
        return f"{self.reference}/_history/{version}" if version else self.reference

    @property
    def withdrawn(self) -> bool:
        """Whether it is marked as entered in error."""
        return self.resource.get("status") == WITHDRAWN

    @property
    def subject(self) -> str | None:
        """Whose it is: ``Patient/123``; None when it does not say so by a literal reference."""
        subject = self.resource.get("subject") or self.resource.get("for")
        reference = subject.get("reference") if isinstance(subject, dict) else None
        return local(reference) if isinstance(reference, str) else None

    def carries(self, identifier: Resource) -> bool:
        """Whether it has an identifier, system and value."""
        return any(
            one.get("system") == identifier["system"] and one.get("value") == identifier["value"]
            for one in objects(self.resource.get("identifier"))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was answered to one writing.

    Parameters
    ----------
    reference
        Where the resource stands now; None when the server does not tell.
    """

    reference: str | None


def held(reference: str | None, resource: Resource, etag: str | None = None) -> Held:
    """Return a resource as it stands, with the version that its header or else its meta tells.

    Parameters
    ----------
    reference
        Where it was read; None for where it says that it is.

    Raises
    ------
    Refused
        It does not say where it is.
    """
    version = _meta(resource).get("versionId")
    if etag is None and isinstance(version, str):
        etag = f'W/"{version}"'
    own = reference or f"{resource.get('resourceType')}/{resource.get('id', '')}"
    if own.endswith("/"):
        raise Refused("EHR-NOT-FHIR", "a resource was found that has no id")
    return Held(reference=own, resource=resource, etag=etag)


def answered(location: str | None, content: bytes) -> Written:
    """Read where a single resource was written, from the header or else from the body.

    Raises
    ------
    Refused
        The answer is no FHIR: somebody else answered, a gateway with its page (``EHR-NOT-FHIR``).
    """
    try:
        body = decode(content) if content.strip() else {}
    except ValueError:
        raise Refused("EHR-NOT-FHIR", "a writing was not answered in JSON") from None
    return Written(reference=local(location or "") or _own(body) or None)


def entries(answer: Resource, count: int) -> tuple[str, ...] | None:
    """Read the references of a transaction's entries, in its order; None when they are not all told.

    Parameters
    ----------
    count
        How many entries were sent.

    Raises
    ------
    Refused
        An entry failed although the transaction was answered with success.
    """
    references = []
    for entry in objects(answer.get("entry")):
        response = entry.get("response")
        response = response if isinstance(response, dict) else {}
        status = str(response.get("status", ""))[:3]
        if status not in {"200", "201"}:
            raise Refused(f"EHR-{status}", "an entry of the transaction failed")
        where = local(str(response.get("location", "")))
        references.append(where or _own(entry.get("resource", {})))
    return tuple(references) if all(references) and len(references) == count else None


def objects(value: object) -> Sequence[dict[str, Any]]:
    """Return the objects of a list; nothing where there is none."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def local(location: str) -> str:
    """Return the reference in a location, relative or absolute, without its version; empty for none."""
    parts = location.partition("/_history/")[0].rstrip("/").split("/")
    return "/".join(parts[-2:]) if len(parts) > 1 and all(parts[-2:]) else ""


def _own(resource: object) -> str:
    if isinstance(resource, dict) and resource.get("id") and resource.get("resourceType"):
        return f"{resource['resourceType']}/{resource['id']}"
    return ""


def _meta(resource: Resource) -> dict[str, Any]:
    meta = resource.get("meta")
    return meta if isinstance(meta, dict) else {}
