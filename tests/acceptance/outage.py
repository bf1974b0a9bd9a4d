"""Three destinations behind wires that may fall sick, and what is to be there when they are well again.

What speaks with them is real, and so are the wires: C-STORE with Storage Commitment to ``pacs``, C-STORE with
C-FIND to ``archive``, FHIR to ``ehr``.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from node.store import schema
from node.store.confirmations import OPEN
from tests.contract.stores import Store
from tests.peers.committer import Committer, running_committer
from tests.peers.sekmet import Sekmet
from tests.peers.sick import DOWN, HANGING, REFUSING, SLOW, WELL, SickWire, sick_wire
from tests.unit.integrations.samples import colin

ARCHIVES = ("pacs", "archive")
NAMES = (*ARCHIVES, "ehr")
A700, LYING = "A700", "lying"
WAYS: Sequence[tuple[str, str | int]] = [
    *((name, how) for name in ARCHIVES for how in (DOWN, HANGING, SLOW, REFUSING, A700, LYING)),
    *(("ehr", how) for how in (DOWN, HANGING, SLOW, 401, 409, 412, 429, 500)),
]
"""Who falls sick, and how."""
NOS: frozenset[str | int] = frozenset({412, LYING})
"""What may be parked because of it waits for somebody who looks, and for one command."""


@dataclass(kw_only=True)
class Destinations:
    """What is sick, and what came of everything that is owed.

    Parameters
    ----------
    store
        Where the deliveries are.
    """

    store: Store
    archives: Mapping[str, Committer]
    wires: Mapping[str, SickWire]
    ehr: Sekmet

    def become(self, name: str, how: str | int) -> None:
        """Let one be sick from now on, or well."""
        if name in self.archives:
            self.archives[name].lies = how == LYING
            self.archives[name].out_of_resources = how == A700
        self.wires[name].become(WELL if how in {LYING, A700} else how)

    def states(self, name: str) -> list[str]:
        """Return the state of each delivery to one: OVER when it did not arrive and never has to.

        Another result took the place of its own while it was parked, or while the archive that had answered
        Success was not believed.
        """
        current = self.current()
        asked = {
            row.delivery_id for row in self.store.rows(schema.confirmation) if row.state in OPEN
        }
        return [
            "OVER"
            if row.state in {"PARKED", "SENT"}
            and row.result_set_id not in current
            and row.delivery_id not in asked
            else str(row.state)
            for row in self.store.rows(schema.delivery)
            if row.destination == name
        ]

    def delivered(self, name: str) -> set[str]:
        """Return the result sets of which one has said that it has them."""
        return {
            row.result_set_id
            for row in self.store.rows(schema.delivery)
            if row.destination == name and row.state == "CONFIRMED"
        }

    def waited_s(self, name: str, made: Sequence[str]) -> list[float]:
        """Return how long each of these results took to reach one, from when it was owed."""
        return [
            row.ended_at - row.created_at
            for row in self.store.rows(schema.delivery)
            if row.destination == name
            and row.result_set_id in made
            and row.state in {"SENT", "CONFIRMED"}
        ]

    def current(self) -> set[str]:
        """Return the result sets that nothing has taken the place of."""
        rows = self.store.rows(schema.result_set)
        return {row.result_set_id for row in rows if row.state == "CURRENT"}

    def settled(self, name: str) -> bool:
        """Whether everything that is owed to one has arrived, or is over."""
        return set(self.states(name)) <= {"CONFIRMED", "OVER"}

    def assert_all_is_there_once_and_in_order(self, made: Sequence[str]) -> None:
        """Look for all that was not overtaken before it left: where it belongs, once, not behind its successor.

        Parameters
        ----------
        made
            Result set UIDs in their order; every third takes the place of the one before it.
        """
        assert self.store.rows(schema.circuit) == []
        for name in NAMES:
            assert self.settled(name), self.states(name)
            assert self.current() <= self.delivered(name)
        for name, archive in self.archives.items():
            uids = {f"{one}.{number}" for one in self.delivered(name) for number in (1, 2)}
            assert set(archive.stored) == uids
            assert archive.twice == []
            _assert_no_revision_first(list(archive.stored), made)
        assert sorted(self._told(made)) == sorted(self.current())

    def _told(self, made: Sequence[str]) -> list[str]:
        """Return, of all reports in the EHR, which of these results each one tells."""
        told = []
        for one in self.ehr.search("DiagnosticReport"):
            named = {each["value"].removeprefix("urn:oid:") for each in one["identifier"]}
            told += sorted(named & set(made))
        return told


def place_of(turn: int) -> int:
    """Return whose result is made when: every third is a revision of the one before it."""
    return turn if turn % 3 != 2 else turn - 1


def _assert_no_revision_first(stored: Sequence[str], made: Sequence[str]) -> None:
    order = list(dict.fromkeys(uid.rpartition(".")[0] for uid in stored))
    for turn in range(2, len(made), 3):
        predecessor, revision = made[turn - 1], made[turn]
        if predecessor in order:
            assert order.index(predecessor) < order.index(revision)


@contextmanager
def destinations_of(store: Store, ehr: Sekmet, slow_s: float) -> Iterator[Destinations]:
    """Give destinations that are well; `slow_s` is between two bytes when one is slow."""
    ehr.put(colin())
    with ExitStack() as stack:
        archives, wires = {}, {}
        for name in ARCHIVES:
            archive = stack.enter_context(running_committer(commits=name == "pacs"))
            archive.ae_title, archive.report = name.upper(), "before"
            archives[name] = archive
            wires[name] = stack.enter_context(sick_wire(archive.port, slow_s=slow_s))
        wires["ehr"] = stack.enter_context(sick_wire(ehr.port, slow_s=slow_s))
        yield Destinations(store=store, archives=archives, wires=wires, ehr=ehr)
