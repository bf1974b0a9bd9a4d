from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.fhir.ucum import convert

CREATININE, GLUCOSE = Decimal("113.12"), Decimal("180.156")


@pytest.mark.parametrize(
    ("value", "unit", "to", "converted"),
    [
        ("8.50", "mg/dL", "mg/dL", "8.50"),
        ("13.5", "g/dL", "g/L", "135"),
        ("250", "10*3/uL", "10*9/L", "250"),
        ("250", "10^3/uL", "10*9/L", "250"),
        ("4.5", "10*6/uL", "10*12/L", "4.5"),
        ("250000", "/uL", "10*9/L", "250"),
        ("1.5", "mg/L", "ug/mL", "1.5"),
        ("500", "ng/mL{FEU}", "ug/L", "500"),
        ("120", "mm[Hg]", "kPa", "15.99864"),
        ("16", "kPa", "mm[Hg]", "120.010200867"),
        ("98.6", "[degF]", "Cel", "37"),
        ("37", "Cel", "[degF]", "98.6"),
        ("310.15", "K", "Cel", "37"),
        ("1", "U/L", "nkat/L", "16.6666666667"),
        ("40", "[iU]/L", "k[IU]/m3", "40"),
        ("72", "/min", "Hz", "1.2"),
        ("72", "{beats}/min", "/min", "72"),
        ("42", "%", "1", "0.42"),
        ("90", "mL/min/{1.73_m2}", "mL/s", "1.5"),
        ("154", "[lb_av]", "kg", "69.85322498"),
        ("70", "[in_i]", "cm", "177.8"),
        ("2", "a", "mo", "24"),
        ("1", "mo", "d", "30.4375"),
        ("24", "kg/m2", "g/cm2", "2.4"),
        ("1", "ml", "mL", "1"),
    ],
)
def test_known_equalities(value: str, unit: str, to: str, converted: str) -> None:
    assert convert(Decimal(value), unit, to) == converted


@pytest.mark.parametrize(
    ("value", "unit", "to", "molar_mass", "converted"),
    [
        ("1.0", "mg/dL", "umol/L", CREATININE, "88.4016973126"),
        ("88.4016973126", "umol/L", "mg/dL", CREATININE, "1"),
        ("100", "mg/dL", "mmol/L", GLUCOSE, "5.5507449"),
    ],
)
def test_mass_and_amount_by_the_molar_mass(
    value: str, unit: str, to: str, molar_mass: Decimal, converted: str
) -> None:
    assert convert(Decimal(value), unit, to, molar_mass).startswith(converted)
    with pytest.raises(ValueError, match="different things"):
        convert(Decimal(value), unit, to)


@pytest.mark.parametrize(
    ("unit", "to"),
    [
        ("mg", "mL"),
        ("mg/dL", "mg"),
        ("meq/L", "mmol/L"),
        ("[iU]/L", "U/L"),
        ("Cel", "mL"),
        ("MG/DL", "mg/dL"),
        ("K/uL", "10*9/L"),
        ("cells", "1"),
        ("mg//dL", "mg/dL"),
        ("mg/", "mg"),
        (".mg", "mg"),
        ("(mg)/dL", "mg/dL"),
        ("mmin", "s"),
        ("mg-dL", "mg"),
        ("", "mg"),
        ("10*", "1"),
        ("m{", "m"),
        ("g[", "g"),
    ],
)
def test_what_is_not_understood_is_refused(unit: str, to: str) -> None:
    with pytest.raises(ValueError, match=r"unit|UCUM|invalid"):
        convert(Decimal(1), unit, to)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1E+99999999", "1E-99999999", "1" * 40])
def test_what_is_no_measurement_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="no measurement"):
        convert(Decimal(value), "mg", "g")


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=70) | st.from_regex(r"[mkuG./{}\[\]0-9*^gLUHzol-]{0,20}", fullmatch=True))
def test_any_text_is_a_unit_or_is_refused(unit: str) -> None:
    try:
        convert(Decimal(1), unit, "g")
    except ValueError:
        return


@settings(max_examples=200, deadline=None)
@given(
    st.decimals("-1e6", "1e6", places=3),
    st.sampled_from([
        ("mg/dL", "g/L"),
        ("mm[Hg]", "kPa"),
        ("Cel", "[degF]"),
        ("10*3/uL", "10*9/L"),
    ]),
)
def test_there_and_back_is_the_same(value: Decimal, units: tuple[str, str]) -> None:
    there = Decimal(convert(value, *units))
    back = Decimal(convert(there, units[1], units[0]))
    assert abs(back - value) <= abs(value) * Decimal("1e-9") + Decimal("1e-8")
