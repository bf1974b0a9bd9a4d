"""What an archive sends on an association of ours (C-GET): received as what comes to the listener."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from integrations.errors import Refused
from integrations.pacs.retrieve import Offered, Take
from node.core.study import Incoming
from node.dicom.command_set import StoreRequest
from node.dicom.handlers import Taking
from node.dicom.reception import InstanceReception
from node.errors import Rejected
from node.telemetry import log, log_failure


@dataclass(slots=True)
class _Association:
    """One association, and whether it is on record."""

    association_id: str
    opened: bool = False


class Fetched:
    """Receives from one archive.

    Parameters
    ----------
    taking
        What is done with instances: the same as behind the listener.
    require_room
        Refuses an instance when the disk is full.
    peer, ae_title
        The archive.
    """

    def __init__(
        self, *, taking: Taking, require_room: Callable[[], None], peer: str, ae_title: str
    ) -> None:
        self._taking = taking
        self._require_room = require_room
        self._peer = peer
        self._ae_title = ae_title

    @contextmanager
    def association(self) -> Iterator[Take]:
        """Give what takes the instances of one association; its end is recorded as the listener does.

        An archive that fails some of what it was asked for has released the association all the same.

        Raises
        ------
        Refused
            What was raised while the association stood.
        """
        known = _Association(uuid.uuid4().hex)
        try:
            yield partial(self._take, known)
        except Refused:
            self._end(known, released=True)
            raise
        except BaseException:
            self._end(known, released=False)
            raise
        self._end(known, released=True)

    def _take(self, known: _Association, offered: Offered) -> int:
        request = StoreRequest(
            message_id=0,
            sop_class_uid=offered.sop_class_uid,
            sop_instance_uid=offered.sop_instance_uid,
        )
        reception = InstanceReception(
            request,
            offered.transfer_syntax_uid,
            self._ae_title,
            incoming=partial(self._incoming, known),
            receive=self._taking.receive,
            association=(known.association_id, self._peer),
            reader=self._taking.reader,
        )
        reception.write(offered.data_set)
        return reception.finish()

    def _incoming(self, known: _Association) -> Incoming:
        """Open a file; an association is on record before its first instance is.

        Raises
        ------
        OutOfResources
            There is no room, or the association cannot be recorded.
        """
        self._require_room()
        if not known.opened:
            self._taking.opened(known.association_id, self._peer)
            known.opened = True
            log("association opened", association_id=known.association_id, peer=self._peer)
        return self._taking.incoming(known.association_id)

    def _end(self, known: _Association, *, released: bool) -> None:
        if not known.opened:
            return
        try:
            self._taking.ended(known.association_id, released)
        except Rejected as error:
            # the series then waits for its long quiet time; nothing is lost
            log_failure("association end not recorded", error, association_id=known.association_id)
        outcome = "released" if released else "broken"
        log(
            "association ended",
            association_id=known.association_id,
            peer=self._peer,
            outcome=outcome,
        )
