"""In which forms results are given: ``[[profile]]``, the site's own beside the built-in ones."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

from pydantic import Field

from inference.results.profile import (
    GENERIC_PACS,
    PROFILES,
    Coordinates,
    Notice,
    Profile,
    ReportClass,
    Segments,
)
from node.settings.kinds import Table


class ProfileTable(Table):
    """``[[profile]]``: a profile of the site's own, as what differs from another one."""

    name: str = Field(pattern=r"^[a-z0-9-]{1,31}$", description="Peers name it in `profile`.")
    base: str = Field(GENERIC_PACS, description="The profile that says whatever is not said here.")
    segments: Segments | None = Field(None, description="How a mask is written.")
    labelmap_for_odd_matrices: bool | None = Field(
        None, description="LABELMAP where Rows × Columns is no multiple of 8."
    )
    every_frame: bool | None = Field(None, description="Also frames in which no segment is.")
    report: ReportClass | None = Field(None, description="SOP class of the report.")
    coordinates: Coordinates | None = Field(None, description="How contours are given.")
    groups_without_regions: bool | None = Field(
        None, description="Answers about the whole series as measurement groups of their own."
    )
    parametric_map: bool | None = Field(None, description="A saliency map as Parametric Map.")
    capture: bool | None = Field(None, description="Key slices as secondary capture.")
    single_frames: bool | None = Field(None, description="Each key slice as a capture of its own.")
    key_objects: bool | None = Field(None, description="A Key Object Selection.")
    presentation_state: bool | None = Field(None, description="Contours as a presentation state.")
    summary: bool | None = Field(None, description="One page as PDF.")
    laboratory_values: bool | None = Field(
        None, description="The report may name laboratory values that the model used."
    )
    notice: Notice | None = Field(None, description="How it is told that AI did not run.")
    otherwise: str | None = Field(
        None, description="The profile that is tried when this one is refused; `none` for no other."
    )


NO_OTHER = "none"
"""What `otherwise` says when the base's is not to be tried either."""


def resolved(tables: Sequence[ProfileTable]) -> Mapping[str, Profile]:
    """Return every profile by name, those of the site with what they take from their base.

    A profile may name as its base one that stands before it.

    Raises
    ------
    ValueError
        A name is used twice, a base or a fallback does not exist, or fallbacks go in a circle; each of these
        is told.
    """
    known, faults = dict(PROFILES), []
    for table in tables:
        if table.name in known or table.name == NO_OTHER:
            faults.append(f"profile: the name {table.name} is used already")
        elif table.base not in known:
            faults.append(f"profile {table.name}: base: no profile {table.base} before it")
        else:
            known[table.name] = _over(known[table.base], table)
    faults += [
        f"profile {one.name}: otherwise: no profile {one.otherwise}"
        for one in known.values()
        if one.otherwise is not None and one.otherwise not in known
    ]
    faults += [
        f"profile {name}: otherwise goes in a circle" for name in known if _circular(name, known)
    ]
    if faults:
        raise ValueError("; ".join(faults))
    return known


def chain(name: str, known: Mapping[str, Profile]) -> tuple[str, ...]:
    """Return a profile and those that are tried after it, in their order, by name."""
    names: list[str] = []
    wanted: str | None = name
    while wanted is not None:
        names.append(wanted)
        wanted = known[wanted].otherwise
    return tuple(names)


def _over(base: Profile, table: ProfileTable) -> Profile:
    said = {
        field.name: value
        for field in fields(Profile)
        if (value := getattr(table, field.name, None)) is not None
    }
    if said.get("otherwise") == NO_OTHER:
        said["otherwise"] = None
    return replace(base, **said)


def _circular(name: str, known: Mapping[str, Profile]) -> bool:
    seen: set[str] = set()
    wanted: str | None = name
    while wanted is not None and wanted in known:
        if wanted in seen:
            return True
        seen.add(wanted)
        wanted = known[wanted].otherwise
    return False
