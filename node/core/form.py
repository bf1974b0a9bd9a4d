"""In which form of a result a destination can show it, and what a result takes the place of."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is configured of one archive's forms.

    Parameters
    ----------
    names
        Its profiles: the first is tried first, each other one when the archive refuses those before it.
    configured
        Digest of the configuration of archive and profiles. What was learnt of the archive holds while this
        stays the same.
    """

    names: tuple[str, ...]
    configured: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierReport:
    """The report of a result that a newer one takes the place of.

    Parameters
    ----------
    profile
        The form that it was made in.
    """

    profile: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
