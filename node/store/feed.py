"""What a feed of HL7 version 2 says, kept together with the answer that it was given."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, delete, insert, select

from node.core.orders import FeedMessage, Merged, Ordered, Said, Updated
from node.errors import ControlIdReused
from node.store import schema
from node.store.database import Database
from node.store.merges import correct_patient, merge
from node.store.ordered import keep_order

MESSAGE, ORDER = schema.feed_message, schema.imaging_order


class FeedStore:
    """The messages that were taken, and what they changed.

    Parameters
    ----------
    database
        Where it is kept.
    issuers
        Default issuer of Patient ID of the sources, by name.
    """

    def __init__(self, database: Database, issuers: Mapping[str, str]) -> None:
        self._database = database
        self._issuers = dict(issuers)

    def answered(self, message: FeedMessage) -> bytes | None:
        """Return the answer that a message was given before; None when it is new.

        Raises
        ------
        ControlIdReused
            Another message had its control id.
        OutOfResources
            The database cannot be read.
        """
        with self._database.reading() as (connection, _):
            return _answered(connection, message)

    def take(self, message: FeedMessage, said: Sequence[Said], answer: bytes) -> bytes:
        """Keep what a message says, and its answer: one transaction; durable on return.

        Returns
        -------
        bytes
            The answer to give: an earlier one when the message was taken before.

        Raises
        ------
        ControlIdReused
            Another message had its control id.
        MergeRefused
            A merge contradicts what was merged before; nothing of the message is kept.
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            earlier = _answered(connection, message)
            if earlier is not None:
                return earlier
            for one in said:
                self._apply(connection, now, message.peer, one)
            connection.execute(
                insert(MESSAGE).values(
                    peer=message.peer,
                    control_id=message.control_id,
                    kind=message.kind,
                    digest=message.digest,
                    answer=answer.decode("ascii"),
                    at=now,
                )
            )
        return answer

    def prune(self, keep_messages_s: float, keep_orders_s: float) -> int:
        """Forget old messages, and orders that led to no study; return how many lines.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        linked = select(schema.study_order.c.order_id)
        with self._database.transaction() as (connection, now):
            messages = delete(MESSAGE).where(MESSAGE.c.at < now - keep_messages_s)
            orders = delete(ORDER).where(
                ORDER.c.at < now - keep_orders_s, ORDER.c.order_id.not_in(linked)
            )
            return sum(connection.execute(one).rowcount for one in (messages, orders))

    def _apply(self, connection: Connection, now: float, peer: str, said: Said) -> None:
        match said:
            case Ordered():
                keep_order(connection, now, peer, said, self._issuers)
            case Merged():
                merge(connection, now, peer, said, self._issuers)
            case Updated():
                correct_patient(connection, now, peer, said, self._issuers)


def _answered(connection: Connection, message: FeedMessage) -> bytes | None:
    row = connection.execute(
        select(MESSAGE.c.digest, MESSAGE.c.answer).where(
            MESSAGE.c.peer == message.peer, MESSAGE.c.control_id == message.control_id
        )
    ).one_or_none()
    if row is None:
        return None
    if row.digest != message.digest:
        raise ControlIdReused("another message was taken under this Message Control ID")
    return str(row.answer).encode("ascii")
