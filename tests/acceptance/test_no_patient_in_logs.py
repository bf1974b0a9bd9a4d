"""The scanner that looks through every log of a site finds what it is to find, and nothing else."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests import patients
from tests.acceptance.site import Plan, running_site

PLAN = Plan(peers=[], rules=[])
IDENTITY = {
    "PatientName": "Unusual^Person=山本",
    "PatientID": "XK-77",
    "PatientBirthDate": "19510203",
    "AccessionNumber": "ZZ1234",
    "PatientSex": "F",
    "IssuerOfPatientID": "HOSPITAL",
}


def written_by_a_role(folder: Path, words: str) -> None:
    """Run a site whose one role writes some words, and whose database knows a patient."""
    with running_site(folder, PLAN) as site:
        site.data.mkdir()
        with closing(sqlite3.connect(site.data / "overread.db")) as database:
            database.execute("create table study (identity)")
            database.execute("insert into study values (?)", (json.dumps(IDENTITY),))
            database.commit()
        site.start_command(["echo", f'{{"event": "received", "detail": "{words}"}}'], "role").wait()


def written_by_triton(folder: Path, words: str) -> None:
    """Run a site whose server of models writes some words."""
    with running_site(folder, PLAN) as site:
        (site.data / "triton").mkdir(parents=True)
        (site.data / "triton" / "triton.log").write_text(words)


OF_THE_TESTS = ["Colin^Twentyseven", "OVR-000042", "19700101", "1963-07-04", "BALL901"]
OF_THE_SITE = ["Unusual", "Person", "XK-77", "19510203", "ZZ1234"]


@pytest.mark.parametrize("words", [*OF_THE_TESTS, *OF_THE_SITE])
def test_a_log_that_names_a_patient_is_found(tmp_path: Path, words: str) -> None:
    with pytest.raises(AssertionError, match=r"role-0\.log names a patient"):
        written_by_a_role(tmp_path, words)


def test_a_log_in_the_nodes_folder_is_looked_through_too(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"triton\.log names a patient"):
        written_by_triton(tmp_path, "Muster")


def test_a_log_that_names_nobody_passes(tmp_path: Path) -> None:
    written_by_a_role(tmp_path, "study 2.25.19700101.1 of HOSPITAL, rule balls")


@pytest.mark.parametrize(
    "words",
    ["HOSPITAL", "2.25.19700101.1", "rule balls", "colin27.py", "F", "took 119700101 ns"],
)
def test_what_names_nobody_is_not_found(words: str) -> None:
    told: Any = patients.named(words, set(IDENTITY.values()) - {"HOSPITAL"})
    assert told == []
