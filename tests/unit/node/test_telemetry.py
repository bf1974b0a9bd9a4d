import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from node import telemetry
from node.telemetry import ALLOWED_FIELDS, log, log_failure
from tests.unit.node.samples import PATIENT, SECRETS


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Give what a role writes."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    for module, name in ((sys, "excepthook"), (threading, "excepthook")):
        monkeypatch.setattr(module, name, getattr(module, name))
    written = io.StringIO()
    telemetry.set_up("keeper", written)
    yield written
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


def records(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_has_a_role_a_time_and_its_fields(stream: io.StringIO) -> None:
    log("series closed", study_instance_uid="1.2", instances=3)
    (record,) = records(stream)
    assert record["event"] == "series closed"
    assert record["role"] == "keeper"
    assert record["study_instance_uid"] == "1.2"
    assert record["instances"] == 3
    assert record["timestamp"].endswith("Z")


def test_fields_that_are_not_allowed_are_dropped_and_counted(stream: io.StringIO) -> None:
    fields = {"patient_name": PATIENT["PatientName"], **PATIENT, "job_id": "j"}
    log("job claimed", **fields)
    (record,) = records(stream)
    assert record["job_id"] == "j"
    assert record["dropped_fields"] == len(fields) - 1
    assert not any(secret in stream.getvalue() for secret in SECRETS)


def test_no_allowed_field_is_about_a_person() -> None:
    personal = ("name", "birth", "sex", "patient", "accession", "mrn", "age", "address_of")
    assert [field for field in ALLOWED_FIELDS if any(word in field for word in personal)] == []


def _fail() -> None:
    raise ValueError(f"cannot parse {PATIENT['PatientName']}")


def test_an_exceptions_text_is_not_told(stream: io.StringIO) -> None:
    try:
        _fail()
    except ValueError as error:
        log_failure("task failed", error, queue="analyse")
    (record,) = records(stream)
    assert record["error"] == "ValueError"
    assert record["queue"] == "analyse"
    assert record["frames"][-1].endswith(" _fail")
    assert "Muster" not in stream.getvalue()


def test_an_exception_that_nobody_caught_is_told_in_the_same_way(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        _fail()
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    thread = threading.Thread(target=_fail)
    thread.start()
    thread.join()
    first, second = records(stream)
    assert (first["event"], first["error"]) == ("crashed", "ValueError")
    assert (second["event"], second["error"]) == ("thread crashed", "ValueError")
    assert second["frames"][-1].endswith(" _fail")
    assert "Muster" not in stream.getvalue() + capsys.readouterr().err


def test_warnings_speak_without_their_text(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)  # pytest catches them its own way
        telemetry.set_up("listener", stream)
        warnings.warn(f"Invalid value for VR PN: {PATIENT['PatientName']}", stacklevel=1)
    assert [record["path"] for record in records(stream)] == ["py.warnings"]
    assert "Muster" not in stream.getvalue() + capsys.readouterr().err


def test_libraries_speak_without_their_arguments(stream: io.StringIO) -> None:
    library = logging.getLogger("pynetdicom.acse")
    library.warning("C-STORE of %s", PATIENT["PatientName"])
    library.info("association with %s", PATIENT["PatientID"])
    try:
        _fail()
    except ValueError:
        library.exception("while reading %s", PATIENT["PatientName"])
    first, second = records(stream)
    assert first == {"level": "warning", "event": "library", "path": "pynetdicom.acse"}
    assert second["level"] == "error"
    assert not any(secret in stream.getvalue() for secret in SECRETS)
