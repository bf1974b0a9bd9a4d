"""The whole configuration, and whether its parts agree."""

from collections.abc import Mapping

from pydantic import model_validator

from inference import private
from inference.private import PrivateTag
from inference.results.profile import GENERIC_PACS, Profile
from node.core.counts import STANDARD_COUNTS
from node.core.retention import Policy
from node.core.routing import Rule
from node.settings.identity import IdentityTable
from node.settings.kinds import TAKES_RESULTS, Table
from node.settings.orders import Hl7Table, OrdersTable
from node.settings.peers import Peer
from node.settings.profiles import ProfileTable, chain, resolved
from node.settings.rules import ExcludeTable, RuleTable
from node.settings.tables import (
    CommitmentTable,
    InferenceTable,
    LedgerTable,
    ListenerTable,
    NodeTable,
    QueueTable,
    RetentionTable,
    WebTable,
)


class Settings(Table):
    """The whole configuration."""

    node: NodeTable
    listener: ListenerTable = ListenerTable()
    queue: QueueTable = QueueTable()
    inference: InferenceTable = InferenceTable()
    web: WebTable = WebTable()
    commitment: CommitmentTable = CommitmentTable()
    ledger: LedgerTable = LedgerTable()
    retention: RetentionTable = RetentionTable()
    hl7: Hl7Table = Hl7Table()
    orders: OrdersTable = OrdersTable()
    identity: IdentityTable = IdentityTable()
    peer: tuple[Peer, ...] = ()
    rule: tuple[RuleTable, ...] = ()
    exclude: ExcludeTable = ExcludeTable()
    profile: tuple[ProfileTable, ...] = ()

    @model_validator(mode="after")
    def _names_agree(self) -> "Settings":
        names = [f"name {peer.name}" for peer in self.peer]
        # two peers with one title could not be told apart when they call: whose issuer would count?
        names += [f"ae_title {peer.ae_title}" for peer in self.peer if peer.ae_title]
        doubled = {name for name in names if names.count(name) > 1}
        wanted = {(f"peer {p.name}: results_to", d) for p in self.peer for d in p.results_to}
        wanted |= {(f"rule {r.name}: destinations", d) for r in self.rule for d in r.destinations}
        takers = {peer.name for peer in self.peer if peer.roles & TAKES_RESULTS}
        faults = [f"peer: the {name} is used twice" for name in sorted(doubled)]
        faults += [
            f"{where}: no peer {name} with the role archive, ehr or oru"
            for where, name in sorted(wanted)
            if name not in takers
        ]
        archives = {peer.name for peer in self.peer if "archive" in peer.roles}
        faults += [
            f"peer {peer.name}: archive: no peer {peer.archive} with the role archive"
            for peer in self.peer
            if peer.archive is not None and peer.archive not in archives
        ]
        by_web = {peer.name for peer in self.peer if not peer.associates} & archives
        faults += [
            f"peer {peer.name}: archive: {peer.archive} needs ae_title, host and port to be fetched from"
            for peer in self.peer
            if peer.archive in by_web
        ]
        faults += [
            f"identity.hold: peer {peer.name} has no archive that could verify its patients"
            for peer in self.peer
            if self.identity.hold and "source" in peer.roles and peer.archive is None
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @model_validator(mode="after")
    def _orders_agree(self) -> "Settings":
        faults = []
        asked = next((peer for peer in self.peer if peer.name == self.orders.peer), None)
        senders = [(p.feed.application, p.feed.facility) for p in self.peer if p.feed]
        if self.hl7.enabled and not senders:
            faults.append("hl7: nobody may send: give a peer with the role orders a feed")
        if len(set(senders)) < len(senders):
            faults.append("peer: feed: two peers have one application and facility")
        match self.orders.source:
            case "hl7" if not self.hl7.enabled:
                faults.append('orders: source = "hl7" needs hl7.enabled')
            case "fhir" if asked is None or asked.fhir is None:
                faults.append('orders: source = "fhir" needs peer, one with fhir.url')
            case "worklist" if asked is None or not (asked.ae_title and asked.host and asked.port):
                faults.append(
                    'orders: source = "worklist" needs peer, one with ae_title, host and port'
                )
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @model_validator(mode="after")
    def _profiles_agree(self) -> "Settings":
        known = resolved(self.profile)
        faults = [
            f"peer {peer.name}: profile: no profile {peer.profile}"
            for peer in self.peer
            if peer.profile is not None and peer.profile not in known
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def archived(self) -> frozenset[str]:
        """Sources whose archive is asked for the patient before anything is sent."""
        return frozenset(peer.name for peer in self.peer if peer.archive is not None)

    @property
    def profiles(self) -> Mapping[str, Profile]:
        """Every profile by name, the built-in ones and the site's own."""
        return resolved(self.profile)

    def forms_of(self, peer: Peer) -> tuple[str, ...]:
        """Return the profiles that an archive is given results in, the first one first; none for others."""
        if "archive" not in peer.roles:
            return ()
        return chain(peer.profile or GENERIC_PACS, self.profiles)

    def peer_named(self, name: str) -> Peer:
        """Return the peer with this name.

        One that was taken out of the file is answered with the defaults: the studies that it sent before
        are finished all the same.
        """
        former = Peer.model_construct(name=name, roles=frozenset())
        return next((peer for peer in self.peer if peer.name == name), former)

    @property
    def private_counts(self) -> tuple[PrivateTag, ...]:
        """Vendors' counts that some source is trusted to fill in: they are kept of every instance."""
        names = {name for peer in self.peer for name in peer.trusted_counts}
        return tuple(map(private.parse, sorted(names - {*STANDARD_COUNTS})))

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules as the core knows them."""
        return tuple(table.rule() for table in self.rule)

    @property
    def retention_policy(self) -> Policy:
        """What may be deleted and when, as the core knows it."""
        return Policy(
            keep_days=self.retention.keep_days,
            unrouted_keep_days=self.retention.unrouted_keep_days,
            rules={
                rule.name: self.retention.keep_days if rule.keep_days is None else rule.keep_days
                for rule in self.rule
            },
        )
