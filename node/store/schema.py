"""The tables. Times are seconds since 1970 in UTC; ``*_at`` is a moment, ``*_until`` the end of a lease."""

from sqlalchemy import (
    JSON,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Uid = String(64)
Key = String(64)

journal = Table(
    "journal",
    metadata,
    Column("line", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    Column("sop_instance_uid", Uid, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("path", String(255), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("peer", String(64), nullable=False),
    Column("association_id", Key, nullable=False),
    Index(None, "sop_instance_uid"),
)
"""One line for every C-STORE that was answered Success; triggers forbid UPDATE and DELETE."""

association = Table(
    "association",
    metadata,
    Column("association_id", Key, primary_key=True),
    Column("peer", String(64), nullable=False),
    Column("owner", Key, nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("outcome", String(16), nullable=False),
)
"""``OPEN``, ``RELEASED`` or ``BROKEN``; `owner` is the listener process."""

study = Table(
    "study",
    metadata,
    Column("study_instance_uid", Uid, primary_key=True),
    Column("peer", String(64), nullable=False),
    Column("identity", JSON, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("first_at", Double, nullable=False),
    Column("last_at", Double, nullable=False),
)

series = Table(
    "series",
    metadata,
    Column("series_instance_uid", Uid, primary_key=True),
    Column("study_instance_uid", Uid, ForeignKey("study.study_instance_uid"), nullable=False),
    Column("peer", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("identity", JSON, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("evidence", JSON),
    Column("last_at", Double, nullable=False),
    Column("closed_at", Double),
    Column("dispatched_at", Double),
    Column("excluded", String(64)),
    Column("routing", JSON(none_as_null=True)),
    Column("late", Integer, nullable=False, default=0, server_default="0"),
    Column("expected_at", Double),
    Column("prior", Integer, nullable=False, default=0, server_default="0"),
    Index(None, "state", "dispatched_at"),
    Index(None, "study_instance_uid"),
    Index(None, "expected_at"),
)
"""`routing` is what `store.decisions` keeps; `late` counts instances that came after the series was closed;
`expected_at` is when the rules with a deadline were asked whether they expect it; `prior` is 1 while all of it
came because we asked for it, to compare with.
"""

instance = Table(
    "instance",
    metadata,
    Column("sop_instance_uid", Uid, primary_key=True),
    Column("series_instance_uid", Uid, ForeignKey("series.series_instance_uid"), nullable=False),
    Column("study_instance_uid", Uid, nullable=False),
    Column("sop_class_uid", Uid, nullable=False),
    Column("transfer_syntax_uid", Uid, nullable=False),
    Column("association_id", Key, nullable=False),
    Column("path", String(255), nullable=False),
    Column("size", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("geometry", JSON, nullable=False),
    Column("received_at", Double, nullable=False),
    Index(None, "series_instance_uid"),
)

job = Table(
    "job",
    metadata,
    Column("job_id", Key, primary_key=True),
    Column("study_instance_uid", Uid, ForeignKey("study.study_instance_uid"), nullable=False),
    Column("series_instance_uid", Uid, nullable=False),
    Column("model", String(64), nullable=False),
    Column("version", String(64), nullable=False),
    Column("rule", String(255), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("request", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("destinations", JSON, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("readiness", String(16), nullable=False),
    Column("reason", String(64)),
    Column("detail", String(1024)),
    Column("context", JSON),
    Column("attempts", Integer, nullable=False, default=0),
    Column("lost_leases", Integer, nullable=False, default=0),
    Column("preparations", Integer, nullable=False, default=0),
    Column("due_at", Double, nullable=False),
    Column("transaction_uid", Uid),
    Column("lease_until", Double),
    Column("created_at", Double, nullable=False),
    Column("ready_at", Double),
    Column("claimed_at", Double),
    Column("ended_at", Double),
    Column("deadline_at", Double),
    Column("noticed_at", Double),
    UniqueConstraint("study_instance_uid", "model", "version", "digest", "request"),
    Index(None, "state", "due_at"),
    Index(None, "state", "noticed_at"),
)

job_input = Table(
    "job_input",
    metadata,
    Column("job_id", Key, ForeignKey("job.job_id"), primary_key=True),
    Column("sop_instance_uid", Uid, primary_key=True),
    Column("input", String(64), nullable=False),
    Column("prior", Integer, nullable=False, default=0, server_default="0"),
    Index(None, "sop_instance_uid"),
)
"""`prior` is 1 for instances of an earlier study: a job compares with them, and is not about them."""

prior = Table(
    "prior",
    metadata,
    Column("job_id", Key, ForeignKey("job.job_id"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("reason", String(64)),
    Column("prior_study_uid", Uid),
    Column("prior_series_uid", Uid),
    Column("listed", JSON(none_as_null=True)),
    Column("tried", JSON, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("until", Double, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("ended_at", Double),
    Index(None, "state", "due_at"),
)
"""Series of earlier studies that jobs wait for before their bell rings, at most `until` (`core.prior`).

`listed` is what the archive lists of the chosen one, `tried` are the series that were not the one.
"""

result_set = Table(
    "result_set",
    metadata,
    Column("result_set_id", Uid, primary_key=True),
    Column("job_id", Key, ForeignKey("job.job_id"), nullable=False),
    Column("study_instance_uid", Uid, nullable=False),
    Column("series_instance_uid", Uid, nullable=False),
    Column("model", String(64), nullable=False),
    Column("profile", String(64), nullable=False),
    Column("position", Integer, nullable=False, default=0, server_default="0"),
    Column("state", String(16), nullable=False),
    Column("reason", String(255)),
    Column("report", JSON, nullable=False),
    Column("picture", String(255)),
    Column("answer", String(255)),
    Column("seconds", JSON, nullable=False),
    Column("server", String(255), nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("job_id", "profile"),
    Index(None, "study_instance_uid"),
)
"""`position` counts the forms of one job's result; only the first has `picture` and `answer`; that of a
notice is negative. `reason` says why it was retracted.
"""

series_number = Table(
    "series_number",
    metadata,
    Column("study_instance_uid", Uid, primary_key=True),
    Column("first_number", Integer, primary_key=True),
    Column("job_id", Key, nullable=False),
    Column("profile", String(64), nullable=False),
    UniqueConstraint("job_id", "profile"),
)
"""Which ten Series Numbers each result set of a study has; given before its objects are made, and kept."""

accepted_form = Table(
    "accepted_form",
    metadata,
    Column("destination", String(64), primary_key=True),
    Column("configured", String(64), nullable=False),
    Column("profile", String(64), nullable=False),
    Column("at", Double, nullable=False),
)
"""The profile that a destination took when it had refused others; `configured` is a digest, see `core.form`."""

result_instance = Table(
    "result_instance",
    metadata,
    Column("sop_instance_uid", Uid, primary_key=True),
    Column("result_set_id", Uid, ForeignKey("result_set.result_set_id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("sop_class_uid", Uid, nullable=False),
    Column("series_instance_uid", Uid, nullable=False),
    Column("transfer_syntax_uid", Uid, nullable=False),
    Column("path", String(255), nullable=False),
    Column("digest", String(64), nullable=False),
)

delivery = Table(
    "delivery",
    metadata,
    Column("delivery_id", Key, primary_key=True),
    Column("result_set_id", Uid, ForeignKey("result_set.result_set_id"), nullable=False),
    Column("destination", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(64)),
    Column("detail", String(1024)),
    Column("receipt", JSON),
    Column("attempts", Integer, nullable=False, default=0),
    Column("lost_leases", Integer, nullable=False, default=0),
    Column("due_at", Double, nullable=False),
    Column("transaction_uid", Uid),
    Column("lease_until", Double),
    Column("created_at", Double, nullable=False),
    Column("ended_at", Double),
    UniqueConstraint("result_set_id", "destination"),
    Index(None, "state", "due_at"),
    Index(None, "destination", "state", "due_at"),
)

circuit = Table(
    "circuit",
    metadata,
    Column("destination", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("reason", String(64), nullable=False),
    Column("failed_at", Double, nullable=False),
    Column("opened_at", Double),
    Column("due_at", Double, nullable=False),
)
"""Destinations that did not answer last time: how often in a row, since when nothing but one delivery at a time
is tried (`opened_at`), and when that may be (`due_at`). The row goes with the first answer.
"""

identity_check = Table(
    "identity_check",
    metadata,
    Column("job_id", Key, ForeignKey("job.job_id"), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("reason", String(64)),
    Column("detail", String(1024)),
    Column("attempts", Integer, nullable=False, default=0),
    Column("due_at", Double, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("ended_at", Double),
    Index(None, "state", "due_at"),
)
"""Whether the archive says of a job's study who the patient is as its source did (`core.identity`).

While a check is OWED no delivery of its job is made.
"""

delivery_instance = Table(
    "delivery_instance",
    metadata,
    Column("delivery_id", Key, ForeignKey("delivery.delivery_id"), primary_key=True),
    Column("sop_instance_uid", Uid, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("at", Double, nullable=False),
)

withdrawal = Table(
    "withdrawal",
    metadata,
    Column("withdrawal_id", Key, primary_key=True),
    Column("delivery_id", Key, ForeignKey("delivery.delivery_id"), nullable=False),
    Column("study_instance_uid", Uid, nullable=False),
    Column("destination", String(64), nullable=False),
    Column("cause", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(64)),
    Column("detail", String(1024)),
    Column("receipt", JSON),
    Column("attempts", Integer, nullable=False, default=0),
    Column("lost_leases", Integer, nullable=False, default=0),
    Column("due_at", Double, nullable=False),
    Column("transaction_uid", Uid),
    Column("lease_until", Double),
    Column("created_at", Double, nullable=False),
    Column("ended_at", Double),
    UniqueConstraint("delivery_id"),
    Index(None, "state", "due_at"),
    Index(None, "study_instance_uid"),
)
"""What a destination is to take back, because of what: OWED, WITHDRAWN, KEPT or PARKED."""

outbox = Table(
    "outbox",
    metadata,
    Column("queue", String(16), primary_key=True),
    Column("subject", Key, primary_key=True),
    Column("due_at", Double, nullable=False),
    Column("rung_at", Double),
    Column("rings", Integer, nullable=False, default=0),
)
"""At most one outstanding bell for each owed piece of work; the row goes when the work is claimed."""

event = Table(
    "event",
    metadata,
    Column("line", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    Column("study_instance_uid", Uid, nullable=False),
    Column("what", String(64), nullable=False),
    Column("detail", String(2048), nullable=False),
    Index(None, "study_instance_uid"),
)
"""What happened to a study, in words, for `overread explain`."""

expectation = Table(
    "expectation",
    metadata,
    Column("study_instance_uid", Uid, ForeignKey("study.study_instance_uid"), primary_key=True),
    Column("rule", String(255), primary_key=True),
    Column("model", String(64), nullable=False),
    Column("deadline_at", Double, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(64)),
    Column("detail", String(1024)),
    Column("judged_at", Double),
    Index(None, "state", "deadline_at"),
)
"""Studies that a rule with a deadline waits for: ``OPEN``, then ``MET``, ``MISSED`` or ``DROPPED``."""

study_subject = Table(
    "study_subject",
    metadata,
    Column("study_instance_uid", Uid, ForeignKey("study.study_instance_uid"), primary_key=True),
    Column("peer", String(64), nullable=False),
    Column("patient_id", String(64), nullable=False),
    Column("issuer", String(64), nullable=False),
    Column("accession_number", String(16), nullable=False),
    Column("matched_at", Double),
    Column("questioned_at", Double),
    Index(None, "accession_number"),
    Index(None, "patient_id"),
    Index(None, "matched_at"),
)
"""Whose study it is, in columns that can be searched; the study's `identity` is what counts.

`matched_at` is when an order was looked for; NULL: it is to be. `questioned_at` is when somebody last said
that the patient's number or data are others.
"""

imaging_order = Table(
    "imaging_order",
    metadata,
    Column("order_id", Key, primary_key=True),
    Column("peer", String(64), nullable=False),
    Column("accession_number", String(255), nullable=False),
    Column("patient", JSON, nullable=False),
    Column("placer_order_number", String(255), nullable=False),
    Column("filler_order_number", String(255), nullable=False),
    Column("urgency", String(16), nullable=False),
    Column("reason", String(1024), nullable=False),
    Column("active", Integer, nullable=False),
    Column("at", Double, nullable=False),
    Index(None, "accession_number"),
    Index(None, "at"),
)
"""What was ordered, as it was told last; `patient` is pairs of Patient ID and issuer."""

study_order = Table(
    "study_order",
    metadata,
    Column("study_instance_uid", Uid, ForeignKey("study.study_instance_uid"), primary_key=True),
    Column("order_id", Key, ForeignKey("imaging_order.order_id"), nullable=False),
    Index(None, "order_id"),
)
"""The order that a study was made by."""

order_question = Table(
    "order_question",
    metadata,
    Column("study_instance_uid", Uid, ForeignKey("study.study_instance_uid"), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("reason", String(64)),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("until", Double, nullable=False),
    Index(None, "state", "due_at"),
)
"""Studies whose order somebody is asked for: OWED, then ANSWERED or GIVEN UP."""

patient_merge = Table(
    "patient_merge",
    metadata,
    Column("line", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    Column("peer", String(64), nullable=False),
    Column("prior_id", String(64), nullable=False),
    Column("prior_issuer", String(64), nullable=False),
    Column("surviving_id", String(64), nullable=False),
    Column("surviving_issuer", String(64), nullable=False),
    Column("birth_date", String(8), nullable=False),
    Column("sex", String(1), nullable=False),
    UniqueConstraint("prior_id", "prior_issuer"),
    Index(None, "surviving_id", "surviving_issuer"),
)
"""Numbers of patients that gave way to others; a chain of them is followed to its end."""

feed_message = Table(
    "feed_message",
    metadata,
    Column("peer", String(64), primary_key=True),
    Column("control_id", String(199), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("answer", String(2048), nullable=False),
    Column("at", Double, nullable=False),
    Index(None, "at"),
)
"""Messages of HL7 version 2 that were taken, and what they were answered."""

role_lease = Table(
    "role_lease",
    metadata,
    Column("role", String(32), primary_key=True),
    Column("holder", Key, nullable=False),
    Column("lease_until", Double, nullable=False),
)
"""Who is the keeper now."""

announcement = Table(
    "announcement",
    metadata,
    Column("line", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("study_instance_uid", Uid),
    Column("series_instance_uid", Uid),
    Column("sop_instance_uid", Uid, nullable=False),
    Column("peer", String(64), nullable=False),
    UniqueConstraint("sop_instance_uid", "kind", "peer"),
    Index(None, "series_instance_uid"),
    Index(None, "at"),
)
"""Instances that peers have listed: ``commitment``, ``mpps`` or ``ian``; one line for each, kind and peer."""

procedure_step = Table(
    "procedure_step",
    metadata,
    Column("sop_instance_uid", Uid, primary_key=True),
    Column("peer", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("study_instance_uid", Uid),
    Column("performed", JSON, nullable=False),
    Column("begun_at", Double, nullable=False),
    Column("ended_at", Double),
)
"""Modality Performed Procedure Steps; `performed` is pairs of Series and SOP Instance UID, as last set."""

commitment = Table(
    "commitment",
    metadata,
    Column("commitment_id", Key, primary_key=True),
    Column("transaction_uid", Uid, nullable=False),
    Column("peer", String(64), nullable=False),
    Column("listed", JSON, nullable=False),
    Column("failures", JSON),
    Column("studies", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(64)),
    Column("attempts", Integer, nullable=False, default=0),
    Column("due_at", Double, nullable=False),
    Column("claim_uid", Uid),
    Column("lease_until", Double),
    Column("asked_at", Double, nullable=False),
    Column("answered_at", Double),
    Column("ended_at", Double),
    Index(None, "state", "due_at"),
)
"""Storage Commitment transactions, and the outbox of their reports: OWED, REPORTED or PARKED.

`listed` is pairs of SOP Class and SOP Instance UID; `failures` is reasons by SOP Instance UID, NULL until the
answer is given.
"""

commitment_held = Table(
    "commitment_held",
    metadata,
    Column("sop_instance_uid", Uid, primary_key=True),
    Column("until", Double, nullable=False),
    Column("ask_at", Double),
)
"""Instances that we promised to keep, and until when: retention asks here.

`ask_at` is when their archive may be asked again to commit them itself; none: it never was.
"""

confirmation = Table(
    "confirmation",
    metadata,
    Column("transaction_uid", Uid, primary_key=True),
    Column("delivery_id", Key, ForeignKey("delivery.delivery_id")),
    Column("peer", String(64), nullable=False),
    Column("study_instance_uid", Uid, nullable=False),
    Column("listed", JSON, nullable=False),
    Column("way", String(16), nullable=False),
    Column("fallback", String(64)),
    Column("state", String(16), nullable=False),
    Column("failures", JSON(none_as_null=True)),
    Column("reason", String(64)),
    Column("attempts", Integer, nullable=False, default=0),
    Column("due_at", Double, nullable=False),
    Column("claim_uid", Uid),
    Column("lease_until", Double),
    Column("created_at", Double, nullable=False),
    Column("asked_at", Double),
    Column("ended_at", Double),
    Index(None, "peer", "state", "due_at"),
    Index(None, "delivery_id"),
)
"""What archives were asked about instances that they took: one row a Transaction UID (`core.confirmation`).

`listed` is triples of SOP Class, SOP Instance and Series Instance UID; `failures` is Failure Reasons by SOP
Instance UID. `delivery_id` is none where the instances are not results: they are held for somebody, see
`commitment_held`.
"""

archive_list = Table(
    "archive_list",
    metadata,
    Column("series_instance_uid", Uid, primary_key=True),
    Column("peer", String(64), nullable=False),
    Column("instances", JSON),
    Column("since", Double, nullable=False),
    Column("at", Double, nullable=False),
    Column("ask_at", Double, nullable=False),
)
"""What an archive said last about a series, and since when it says the same; none when it did not answer."""

retrieval = Table(
    "retrieval",
    metadata,
    Column("sop_instance_uid", Uid, primary_key=True),
    Column("series_instance_uid", Uid, nullable=False),
    Column("study_instance_uid", Uid, nullable=False),
    Column("peer", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("at", Double, nullable=False),
)
"""Instances that we asked an archive for, announced before they were: ``ANNOUNCED`` or ``ARRIVED``."""

entitlement = Table(
    "entitlement",
    metadata,
    Column("line", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("subject", Key, nullable=False),
    Column("belongs_to", Key, nullable=False),
    Index(None, "kind", "subject"),
    Index(None, "belongs_to"),
)
"""One line for every job, result set, result object, delivery and withdrawal that ever was.

Triggers on those tables write it, in the transaction that makes the row, and others forbid UPDATE and
DELETE: no way through the code can forget it, and a row that was deleted by hand is missed. `kind` is
``job`` (belongs to a series), ``result set`` (to a job), ``result`` or ``delivery`` (to a result set),
``withdrawal`` (to a delivery).
"""

tombstone = Table(
    "tombstone",
    metadata,
    Column("line", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("subject", Uid, nullable=False),
    Column("path", String(255), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("size", Integer, nullable=False),
    Column("journal_line", Integer),
    Column("reason", String(64), nullable=False),
    Index(None, "kind", "subject"),
    Index(None, "journal_line"),
)
"""What retention removed, when and why; triggers forbid UPDATE and DELETE.

`kind` is ``instance`` (its record is gone too), ``result``, ``picture`` or ``answer`` (only the file is gone).
"""

housekeeping = Table(
    "housekeeping",
    metadata,
    Column("line", Integer, primary_key=True),
    Column("work", String(16), nullable=False),
    Column("begun_at", Double, nullable=False),
    Column("ended_at", Double, nullable=False),
    Column("faults", Integer, nullable=False),
    Column("body", JSON, nullable=False),
    Index(None, "work", "ended_at"),
)
"""What the keeper does once a day, ``ledger`` or ``retention``, and what it found."""
