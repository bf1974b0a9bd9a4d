"""The page about a result: what stands on it, what does not, and that it is always the same."""

import io
import re
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from inference.findings import Result
from inference.results import pdf
from inference.results.objects import Kind
from inference.results.profile import Profile
from inference.results.set import build
from inference.results.summary import page
from tests.unit.inference_results.studies import BRAIN, LESION, REQUEST, Study, with_everything

SUMMARY = Profile(name="summary", summary=True)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Result:
    study = Study(segments=(BRAIN, LESION))
    return with_everything(study.result(tmp_path_factory.mktemp("source")))


def written(file: bytes) -> str:
    """Return the texts of a page, one a line, by the shortest way that is right for ours."""
    streams = re.findall(rb"(?<!Subtype )/FlateDecode /Length (\d+) >>\nstream\n", file)
    assert streams
    start = file.index(b"stream\n", file.index(b"4 0 obj")) + len(b"stream\n")
    operators = zlib.decompressobj().decompress(file[start:])
    texts = re.findall(rb"\(((?:[^\\)]|\\.)*)\) Tj", operators)
    return "\n".join(re.sub(rb"\\(.)", rb"\1", text).decode("cp1252") for text in texts)


def test_the_page_tells_findings_model_and_limits(everything: Result) -> None:
    told = written(page(everything, SUMMARY))
    for words in (
        "AI result: brain-extraction 1.0.2",
        "not for primary diagnosis. RESEARCH: not cleared for diagnosis.",
        "not reviewed by a physician",
        "Brain",
        "hemorrhage score 0.83 (threshold 0.5)",
        "Nodule 3",
        "2.51 mm",
        everything.card.device_uid,
        everything.card.weights_digest,
        "not used: creatinine, no value in the last 90 days",
        "Slice 4",
    ):
        assert words in told


def test_the_page_names_no_patient(tmp_path: Path) -> None:
    header = {"PatientName": "Gänßler^Änne", "PatientID": "SECRET-77", "AccessionNumber": "ACC-9"}
    result = with_everything(Study(header=header).result(tmp_path))
    file = page(result, SUMMARY)
    told = written(file) + file.decode("latin-1")
    assert not any(known in told for known in ("Gänßler", "Änne", "SECRET-77", "ACC-9"))


def test_the_object_holds_the_page_and_its_length(everything: Result) -> None:
    made = next(o for o in build(everything, REQUEST, SUMMARY) if o.kind is Kind.DOC)
    document = dcmread(io.BytesIO(made.encoded))
    content = document.EncapsulatedDocument[: document.EncapsulatedDocumentLength]
    assert content == page(everything, SUMMARY)
    assert document.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert document.Modality == "DOC"
    assert len(document.SourceInstanceSequence) == len(everything.series.headers)


def test_a_table_that_is_too_long_says_so(everything: Result) -> None:
    many = replace(everything, classifications=everything.classifications * 30)
    told = written(page(many, SUMMARY))
    assert "and 19 more, in the structured report." in told


def test_what_does_not_fit_is_cut_and_shown_to_be_cut(everything: Result) -> None:
    finding = everything.findings[0]
    segment = replace(finding.segment, label="An organ with a name that nobody can remember " * 2)
    findings = (replace(finding, segment=segment),)
    told = written(page(replace(everything, findings=findings), SUMMARY))
    assert re.search(r"^An organ with.*…$", told, re.MULTILINE)


def test_letters_that_the_page_has_not_lose_their_accents_alone() -> None:
    drawn = pdf.Page(title="t")
    drawn.text(10, 10, "Müller (50 %) \\ Dvořák", size=9)
    assert written(drawn.finished()) == "Müller (50 %) \\ Dvorák"


def test_lines_are_broken_between_words() -> None:
    words = "the quick brown fox jumps over the lazy dog " * 5
    lines = pdf.wrapped(words, 9, 120)
    assert " ".join(lines).split() == words.split()
    assert all(pdf.width_of(line, 9) <= 120 for line in lines)
    assert len(lines) > 5


def test_a_picture_is_kept_without_loss() -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (7, 5, 3), np.uint8)
    drawn = pdf.Page(title="t")
    drawn.picture(0, 0, 50, 70, pixels)
    file = drawn.finished()
    start = file.index(b"stream\n", file.index(b"/Width 5 /Height 7")) + len(b"stream\n")
    assert zlib.decompressobj().decompress(file[start:]) == pixels.tobytes()
