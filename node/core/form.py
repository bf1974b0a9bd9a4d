"""In which form of a result a destination can show it, and what a result takes the place of."""

from dataclasses import dataclass

_NOTICE, _DELAY = "notice:", "delay:"


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


def notice_form(profile: str, *, delayed: bool = False) -> str:
    """Return the name of the form in which a notice is made by a profile; no profile has such a name.

    Parameters
    ----------
    delayed
        The notice of a job that is late, and may still be done: of one job there may be both.
    """
    return f"{_DELAY if delayed else _NOTICE}{profile}"


def is_notice(form: str) -> bool:
    """Whether what was made in a form is a notice, and no result."""
    return form.startswith((_NOTICE, _DELAY))
