"""Who is told in an archive that AI did not run, and why."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from node.bootstrap.forms import workshop
from node.bootstrap.models import cards
from node.bootstrap.state import files
from node.settings import Settings

if TYPE_CHECKING:
    from node.pipeline.apart import Apart
    from node.pipeline.notify import Notifier
    from node.store.database import Database


def notices(settings: Settings, opened: "Database") -> "Callable[[Apart], None] | None":
    """Wire the step that tells of every job without a result; None where no archive wants to be told."""
    from inference.results.profile import Notice
    from node.store.notices import NoticeStore

    wanted = {
        settings.profiles[name].notice
        for peer in settings.peer
        if "archive" in peer.roles
        for name in settings.forms_of(peer)
    }
    if wanted <= {Notice.NONE}:
        return None
    store = NoticeStore(opened, archived=settings.archived)

    @cache
    def notifier() -> "Notifier":
        # wired when there is something to tell: what builds objects takes a second to import
        from node.clock import SystemClock
        from node.pipeline.notify import Notifier

        return Notifier(
            notices=store,
            cards=cards(settings),
            workshop=workshop(settings, opened),
            files=files(settings),
            clock=SystemClock(),
        )

    def notify(apart: "Apart") -> None:
        due = store.due()
        if due:
            from node.pipeline.notify import notify

            notify(due, notifier(), apart)

    return notify
