"""One result in the forms of its destinations: a set of objects for each profile."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from inference.findings import Result
from inference.results import gate
from inference.results.objects import (
    Equipment,
    Predecessor,
    ResultObject,
    ResultObjects,
    ResultRequest,
)
from inference.results.profile import GENERIC_PACS, Profile
from inference.results.set import build
from node.core.form import EarlierReport, Wish
from node.core.job import Claim, ResultInstance, ResultSet
from node.core.ports import Files, Forms
from node.pipeline.records import as_record
from node.pipeline.translate import Source, report


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What result objects are made with.

    Parameters
    ----------
    equipment
        Who we are in the results.
    uid_root
        Root of the results' UIDs.
    source_of
        What is configured of a peer, by its name.
    profiles
        Every profile, by its name.
    wishes
        What each archive is to be given, by its name. A destination that is none has no wish: it is told of
        the result in any form.
    forms
        What is known of the forms that were given.
    """

    equipment: Equipment
    uid_root: str
    source_of: Callable[[str], Source]
    profiles: Mapping[str, Profile]
    wishes: Mapping[str, Wish]
    forms: Forms

    def by_profile(self, destinations: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return who is to have the result in which form; the first is also everybody's without a wish."""
        found: dict[str, list[str]] = {}
        others = []
        for name in destinations:
            wish = self.wishes.get(name)
            if wish is None:
                others.append(name)
            else:
                found.setdefault(self._first(name, wish), []).append(name)
        if not found:
            found[GENERIC_PACS] = []
        next(iter(found.values())).extend(others)
        return {profile: tuple(names) for profile, names in found.items()}

    def request(
        self,
        job: Claim,
        profile: str,
        created: datetime,
        predecessors: tuple[Predecessor, ...] = (),
    ) -> ResultRequest:
        """Return what the objects of a job have in common in one form.

        Raises
        ------
        OutOfResources
            The Series Number could not be kept.
        """
        return ResultRequest(
            equipment=self.equipment,
            created=created,
            request_number=job.request,
            revision=job.revision,
            uid_root=self.uid_root,
            first_series_number=self.forms.series_number(
                job.job_id, job.study_instance_uid, profile
            ),
            form=profile,
            predecessors=predecessors,
        )

    def _first(self, destination: str, wish: Wish) -> str:
        """Return the profile that an archive took when it had refused others, else the one it asks for."""
        learnt = self.forms.accepted(destination, wish.configured)
        return learnt if learnt in wish.names else wish.names[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A result and where it comes from, before it has any form.

    Parameters
    ----------
    job
        The job that asked; its `revision` and `earlier` are those of the moment when it was done.
    created
        When the result was made.
    page
        Where the page for a record is kept, relative to the store's root; None where nobody wants it.
    """

    job: Claim
    result: Result
    created: datetime
    page: str | None = None

    def about(self) -> dict[str, Any]:
        """Return what later forms must have in common with the first ones, in values that JSON knows."""
        return {
            "created": self.created.isoformat(),
            "revision": self.job.revision,
            "earlier": [
                [
                    one.profile,
                    one.sop_class_uid,
                    one.sop_instance_uid,
                    one.series_instance_uid,
                ]
                for one in self.job.earlier
            ],
        }


def objects_of(made: Made, profile: str, workshop: Workshop) -> ResultObjects:
    """Build the objects of a result in one form, fit to be sent.

    Raises
    ------
    GateRefused
        An object must not leave the node.
    OutOfResources
        The Series Number could not be kept.
    """
    job = made.job
    request = workshop.request(job, profile, made.created, _predecessors(job, profile))
    objects = build(made.result, request, workshop.profiles[profile])
    gate.check(objects, made.result.series)
    return objects


def kept(
    made: Made, profile: str, objects: ResultObjects, workshop: Workshop, place: tuple[Files, str]
) -> ResultSet:
    """Make the objects durable and return them as a result set, without its destinations.

    Parameters
    ----------
    place
        The files, and the folder in them.

    Raises
    ------
    OutOfResources
        The disk would not take them.
    """
    files, folder = place
    instances = tuple(kept_object(item, files, folder) for item in objects)
    source = workshop.source_of(made.job.peer)
    told = report(made.job, made.result, objects, source, made.created)
    told = replace(told, page=Path(made.page) if made.page else None)
    return ResultSet(
        result_set_id=told.result_set_uid,
        profile=profile,
        instances=instances,
        report=as_record(told),
        picture=None,
        seconds=made.result.seconds,
        server=made.result.server,
    )


def kept_object(item: ResultObject, files: Files, folder: str) -> ResultInstance:
    """Make an object durable and return it as a part of a result set.

    Raises
    ------
    OutOfResources
        The disk would not take it.
    """
    return ResultInstance(
        sop_instance_uid=item.sop_instance_uid,
        sop_class_uid=item.sop_class_uid,
        series_instance_uid=item.series_instance_uid,
        transfer_syntax_uid=item.transfer_syntax_uid,
        kind=item.kind,
        path=files.keep_result(folder, f"{item.sop_instance_uid}.dcm", item.encoded),
        digest=sha256(item.encoded).hexdigest(),
    )


def _predecessors(job: Claim, profile: str) -> tuple[Predecessor, ...]:
    """Return the reports that one takes the place of: those in the same form, where there are any."""
    same = [one for one in job.earlier if one.profile == profile]
    return tuple(_predecessor(job, one) for one in same or job.earlier)


def _predecessor(job: Claim, earlier: EarlierReport) -> Predecessor:
    return Predecessor(
        sop_class_uid=earlier.sop_class_uid,
        sop_instance_uid=earlier.sop_instance_uid,
        series_instance_uid=earlier.series_instance_uid,
        study_instance_uid=job.study_instance_uid,
    )
