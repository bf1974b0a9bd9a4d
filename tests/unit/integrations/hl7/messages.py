"""Messages of HL7 version 2 as fictional hospitals send them."""

from typing import Any

MRN, OTHER = "OVR-000042", "OVR-000043"
NAME = "Muster^Erika"


def message(*segments: str, kind: str = "ORM^O01", **header: str) -> bytes:
    """One message; `header` replaces fields of MSH by number: ``f18="8859/1"``."""
    fields = ["MSH", "^~\\&", "RIS", "HOSP", "OVERREAD", "HOSP", "20261015101500", "", kind]
    fields += ["M1", "P", "2.5.1", "", "", "", "", "", "UNICODE UTF-8"]
    for key, value in header.items():
        fields[int(key[1:]) - 1] = value  # MSH-1 is the separator: MSH-2 is at place 1
    codec = {"8859/1": "latin-1", "ISO IR87": "iso2022_jp", "GB 18030-2000": "gb18030"}
    written = "\r".join(["|".join(fields), *segments]) + "\r"
    return written.encode(codec.get(fields[17], "utf-8"))


def pid(
    *numbers: str,
    name: str = NAME,
    born: str = "19640812",
    sex: str = "F",
    authority: str = "EXAMPLE",
) -> str:
    """PID with numbers of one authority; one with a caret is written as it is."""
    listed = "~".join(one if "^" in one else f"{one}^^^{authority}^MR" for one in numbers or (MRN,))
    return f"PID|1||{listed}||{name}||{born}|{sex}"


def mrg(*numbers: str, authority: str = "EXAMPLE") -> str:
    """MRG with prior numbers."""
    listed = "~".join(one if "^" in one else f"{one}^^^{authority}^MR" for one in numbers)
    return f"MRG|{listed}"


def orm(accession: str = "ACC42", urgency: str = "S", control: str = "NW", **more: Any) -> bytes:
    """Order one procedure."""
    patient = more.pop("patient", pid())
    return message(
        patient,
        f"ORC|{control}|P1^RIS|F1^RIS||||1^^^20261015^^{urgency}",
        f"OBR|1|P1^RIS|F1^RIS|24627-2^CT Chest^LN||||||||||||||{accession}"
        + "|" * 13
        + "R06.02^Shortness of breath^I10",
        **more,
    )


def adt(event: str, *segments: str, **header: str) -> bytes:
    """ADT of an event."""
    return message("EVN||20261015101500", *segments, kind=f"ADT^{event}", **header)


def a40(surviving: str, prior: str, **header: str) -> bytes:
    """Merge of one number into another."""
    return adt("A40", pid(surviving), mrg(prior), **header)
