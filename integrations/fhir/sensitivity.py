"""What of a record may not be looked at: sensitivity labels, and what the patient has denied.

A label or a denial that is not understood counts for more, never for less.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from integrations.fhir.elements import codings, has_code, many, one, text

_LABEL_SYSTEMS = ("v3-Confidentiality", "v3-ActCode")
LABELS = frozenset({
    *("R", "V"),
    *("ETH", "ETHUD", "OPIOIDUD", "ALC", "SUD", "SUDADMIT"),
    *("PSY", "PSYTHPN", "BH", "MH", "COGN", "DVD", "EMOTDIS"),
    *("HIV", "STD", "GDIS", "SCA"),
    *("SDV", "VIO", "SEX", "SEXASLT", "DOMVIOLENCE", "ABORTION", "REPRO"),
    *("TBOO", "MARKETBL", "PHY", "EMP", "VIP", "CEL"),
})
"""Codes of v3-Confidentiality and v3-ActCode (InformationSensitivityPolicy) that withhold a resource."""

RESOURCE_TYPES = "http://hl7.org/fhir/resource-types"


def is_labelled(resource: Mapping[str, Any], allowed: Collection[str] = ()) -> bool:
    """Whether a resource carries a label that withholds it (FHIR R4 Resource.meta.security).

    Parameters
    ----------
    allowed
        Codes that the site allows.
    """
    return bool(_labels(resource) & LABELS - set(allowed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """What active Consents deny.

    Parameters
    ----------
    everything
        Nothing may be read.
    types, codes, labels
        Resource types, and codes and labels of resources, that may not be.
    """

    everything: bool = False
    types: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()

    def forbids(self, resource: Mapping[str, Any]) -> bool:
        """Whether a resource is among what is denied."""
        concepts = [one(resource, name) for name in ("code", "medicationCodeableConcept")]
        codes = {code for concept in concepts for _, code in codings(concept)}
        return (
            self.everything
            or text(resource, "resourceType") in self.types
            or bool(codes & self.codes)
            or bool(_labels(resource) & self.labels)
        )


def denied(consents: Sequence[Mapping[str, Any]]) -> Denial:
    """Read what consents deny (FHIR R4 Consent.provision).

    A denial that is narrowed by an actor, an action, a purpose, a period or single data counts as a whole one,
    and an exception from a denial is not made use of: who may know better is the server, which need not show us
    anything.
    """
    found = [
        part
        for consent in consents
        if text(consent, "status") == "active" and _is_of_privacy(consent)
        for part in _denials(consent)
    ]
    return Denial(
        everything=any(part.everything for part in found),
        types=frozenset().union(*(part.types for part in found)),
        codes=frozenset().union(*(part.codes for part in found)),
        labels=frozenset().union(*(part.labels for part in found)),
    )


def _is_of_privacy(consent: Mapping[str, Any]) -> bool:
    scope = one(consent, "scope")
    return not codings(scope) or has_code(scope, "patient-privacy")


def _denials(consent: Mapping[str, Any]) -> Iterator[Denial]:
    if has_code(one(consent, "policyRule"), "OPTOUT"):
        yield Denial(everything=True)
    waiting = [one(consent, "provision")]
    while waiting:
        provision = waiting.pop()
        waiting += many(provision, "provision")
        if text(provision, "type") == "deny":
            yield _denial(provision)


def _denial(provision: Mapping[str, Any]) -> Denial:
    classes = many(provision, "class")
    types = {text(item, "code") for item in classes if text(item, "system") == RESOURCE_TYPES}
    codes = {code for concept in many(provision, "code") for _, code in codings(concept)}
    labels = {text(item, "code") for item in many(provision, "securityLabel")}
    understood = all(text(item, "system") == RESOURCE_TYPES for item in classes)
    if not understood or not (types or codes or labels):
        return Denial(everything=True)
    return Denial(types=frozenset(types), codes=frozenset(codes), labels=frozenset(labels))


def _labels(resource: Mapping[str, Any]) -> set[str]:
    return {
        text(label, "code")
        for label in many(one(resource, "meta"), "security")
        if text(label, "system").replace("v3/", "v3-").endswith(_LABEL_SYSTEMS)
    }
