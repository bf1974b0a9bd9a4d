"""FHIR resources before pyrofile with HL7's own definitions of R4: structure, bindings, invariants."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.peers import absent

_FETCH = Path(__file__).with_name("fetch-definitions")
_BUNDLES = ("profiles-types", "profiles-resources", "valuesets", "v3-codesystems", "v2-tables")
_DEFINITIONS = {"StructureDefinition", "CodeSystem", "ValueSet"}

NEWER_THAN_R4 = "Code 'AIAST' is not valid in code system"
"""Known false error: HL7's terminology got AIAST ("Artificial Intelligence asserted") in v3-ObservationValue
after R4 was frozen, and the definitions are R4's. The IG *AI Transparency on FHIR* labels with it."""


_NESTED_CHOICE = re.compile(r"^\w+\.(\w+)\[(\d+)\]\.(\w+)\[x\] is required$")


def taken_for_missing(message: str, resource: dict[str, Any]) -> bool:
    """Whether a message is the known false one: a required choice below a backbone element.

    It looks for an element that is literally called ``value[x]``; the choice is there as ``valueReference``.
    """
    found = _NESTED_CHOICE.match(message)
    if found is None:
        return False
    element = resource[found[1]][int(found[2])]
    return any(name.startswith(found[3]) for name in element)


def pyrofile_errors(resource: dict[str, Any]) -> list[str]:
    """Judge a resource; its warnings do not count, nor what is known to be false."""
    report = _validator().validate_resource(resource)
    return [
        f"{one.path}: {one.message}"
        for one in report.issues
        if one.severity.value == "error"
        and not one.message.startswith(NEWER_THAN_R4)
        and not taken_for_missing(one.message, resource)
    ]


@cache
def _validator() -> Any:
    """Load the definitions, which takes some seconds."""
    from pyrofile_validator import Validator
    from pyrofile_validator.config import ValidatorConfig

    with TemporaryDirectory() as folder:
        _split(_folder(), Path(folder))
        validator = Validator(ValidatorConfig(local_package_paths=[folder]))
    # without them it falls back on less, and says nothing
    assert validator.loaded_structure_definitions > 200
    return validator


def _folder() -> Path:
    found = subprocess.run(
        [str(_FETCH), "--installed"], check=False, capture_output=True, text=True
    )
    if found.returncode:
        absent("HL7's definitions of FHIR", "make definitions")
    return Path(found.stdout.strip())


def _split(bundles: Path, folder: Path) -> None:
    """Write each definition as a file of its own: of a Bundle pyrofile reads none."""
    for name in _BUNDLES:
        bundle = json.loads((bundles / f"{name}.json").read_text(encoding="utf-8"))
        for one in (entry["resource"] for entry in bundle["entry"]):
            if one["resourceType"] in _DEFINITIONS:
                path = folder / f"{one['resourceType']}-{one['id']}.json"
                path.write_text(json.dumps(one), encoding="utf-8")
