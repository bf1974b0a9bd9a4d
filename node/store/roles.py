"""Who holds a role that only one process may hold (the keeper), by a lease with take-over."""

from sqlalchemy import update
from sqlalchemy.dialects.sqlite import insert as upsert

from node.store import schema
from node.store.database import Database


class RoleLease:
    """A lease on one role, held by one process at a time.

    Parameters
    ----------
    database
        Where the lease is kept.
    role
        Name of the role.
    holder
        Name of this process, unique among all that may hold the role.
    lease_s
        How long the role stays with a silent holder.
    """

    def __init__(self, database: Database, role: str, holder: str, lease_s: float) -> None:
        self._database = database
        self._role = role
        self._holder = holder
        self._lease_s = lease_s

    def hold(self) -> bool:
        """Take the role or prolong it; tell whether it is ours until the lease ends.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        table = schema.role_lease
        with self._database.transaction() as (connection, now):
            row = {"role": self._role, "holder": self._holder, "lease_until": now + self._lease_s}
            taken = connection.execute(
                upsert(table)
                .values(row)
                .on_conflict_do_update(
                    index_elements=["role"],
                    set_={"holder": self._holder, "lease_until": now + self._lease_s},
                    where=(table.c.holder == self._holder) | (table.c.lease_until < now),
                )
            ).rowcount
            return bool(taken)

    def let_go(self) -> None:
        """Give the role up, so that another process takes it at once.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        table = schema.role_lease
        with self._database.transaction() as (connection, now):
            connection.execute(
                update(table)
                .where(table.c.role == self._role, table.c.holder == self._holder)
                .values(lease_until=now - 1)
            )
