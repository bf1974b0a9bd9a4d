"""What peers say that they have made, noted as evidence; it opens and fetches nothing."""

from node.core.announcement import Announcement, StepAnswer, StepChange
from node.core.ports import Announcements
from node.telemetry import log


def announce(announcement: Announcement, announcements: Announcements) -> None:
    """Note the list of an Instance Availability Notification.

    Raises
    ------
    OutOfResources
        The database could not be written; the peer says it again.
    """
    announcements.announce(announcement)
    log("instances announced", peer=announcement.peer, instances=len(announcement.instances))


def begin_step(change: StepChange, announcements: Announcements) -> StepAnswer:
    """Note that a procedure step begins (N-CREATE).

    Raises
    ------
    OutOfResources
        The database could not be written; the peer says it again.
    """
    answer = announcements.begin_step(change)
    log("procedure step begins", peer=change.peer, outcome=answer)
    return answer


def change_step(change: StepChange, announcements: Announcements) -> StepAnswer:
    """Note how a procedure step goes on (N-SET).

    Raises
    ------
    OutOfResources
        The database could not be written; the peer says it again.
    """
    answer = announcements.change_step(change)
    log("procedure step changes", peer=change.peer, state=change.state, outcome=answer)
    return answer
