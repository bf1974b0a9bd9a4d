"""Units of measure (UCUM) as far as laboratories and monitors write them, converted exactly.

A small table, held to known equalities by tests. What it does not know is refused: a value in a unit that
nobody understood is no value. Special units (degrees) are converted only alone. Substance and mass are two
kinds until somebody names the molar mass.
"""

import re
from collections import Counter
from collections.abc import Iterator
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

_DIGITS = Context(prec=12)
_LARGEST_EXPONENT = 30
"""Powers of ten beyond which a number is no measurement."""

_PREFIXES = {
    "T": 12,
    "G": 9,
    "M": 6,
    "k": 3,
    "h": 2,
    "da": 1,
    "d": -1,
    "c": -2,
    "m": -3,
    "u": -6,
    "n": -9,
    "p": -12,
    "f": -15,
}


class Unit(NamedTuple):
    """A factor, and the exponent of each base unit that is not zero, in the order of their names."""

    factor: Fraction
    dimensions: tuple[tuple[str, int], ...]


def _unit(factor: Fraction | int | str, **dimensions: int) -> Unit:
    return Unit(Fraction(factor), tuple(sorted(dimensions.items())))


_METRIC = {
    "g": _unit(1, g=1),
    "m": _unit(1, m=1),
    "s": _unit(1, s=1),
    "mol": _unit(1, mol=1),
    "eq": _unit(1, eq=1),
    "osm": _unit(1, osm=1),
    "L": _unit("1/1000", m=3),
    "l": _unit("1/1000", m=3),
    "Pa": _unit(1000, g=1, m=-1, s=-2),
    "bar": _unit(100_000_000, g=1, m=-1, s=-2),
    "m[Hg]": _unit(133_322_000, g=1, m=-1, s=-2),
    "m[H2O]": _unit(9_806_650, g=1, m=-1, s=-2),
    "kat": _unit(1, mol=1, s=-1),
    "U": _unit("1/60000000", mol=1, s=-1),
    "[IU]": _unit(1, iu=1),
    "[iU]": _unit(1, iu=1),
    "Hz": _unit(1, s=-1),
}
_PLAIN = {
    "min": _unit(60, s=1),
    "h": _unit(3600, s=1),
    "d": _unit(86_400, s=1),
    "wk": _unit(604_800, s=1),
    "mo": _unit(2_629_800, s=1),
    "a": _unit(31_557_600, s=1),
    "%": _unit("1/100"),
    "[ppth]": _unit("1/1000"),
    "[ppm]": _unit("1/1000000"),
    "[pH]": _unit(1, pH=1),
    "[lb_av]": _unit("453.59237", g=1),
    "[oz_av]": _unit("28.349523125", g=1),
    "[in_i]": _unit("0.0254", m=1),
    "[ft_i]": _unit("0.3048", m=1),
}
_DEGREES = {
    "Cel": (Fraction(1), Fraction("273.15")),
    "[degF]": (Fraction(5, 9), Fraction("459.67") * Fraction(5, 9)),
    "K": (Fraction(1), Fraction(0)),
}
"""Kelvins in one of them, and kelvins at its zero."""

_PART = re.compile(
    r"(10[*^]-?\d{1,2}|[1-9]\d{0,5}|[A-Za-z%_]*(?:\[[^\]]+\])?[A-Za-z]*)(-?\d)?(\{[^}]*\})?"
)


def convert(value: Decimal, unit: str, to: str, molar_mass_g_mol: Decimal | None = None) -> str:
    """Return a value of one unit in another one, as text.

    Parameters
    ----------
    unit, to
        UCUM codes, case sensitive.
    molar_mass_g_mol
        Of the substance, where one unit counts its mass and the other one its amount.

    Returns
    -------
    str
        In plain digits: as they were where the units are equal, else up to twelve significant ones.

    Raises
    ------
    ValueError
        A unit is not known, they measure different things, or the value is no measurement.
    """
    if not value.is_finite() or abs(value.adjusted()) > _LARGEST_EXPONENT:
        raise ValueError("no measurement")
    if len(value.as_tuple().digits) > _LARGEST_EXPONENT:
        raise ValueError("no measurement")
    if unit == to:
        return format(value, "f")
    exact = _converted(Fraction(value), unit, to, molar_mass_g_mol)
    rounded = _DIGITS.divide(Decimal(exact.numerator), Decimal(exact.denominator))
    return format(rounded.normalize(_DIGITS), "f")


def _converted(value: Fraction, unit: str, to: str, molar_mass: Decimal | None) -> Fraction:
    if unit in _DEGREES and to in _DEGREES:
        (size, zero), (other_size, other_zero) = _DEGREES[unit], _DEGREES[to]
        return (value * size + zero - other_zero) / other_size
    source, target = parse(unit), parse(to)
    if source.dimensions != target.dimensions and molar_mass is not None:
        source, target = _in_mass(source, molar_mass), _in_mass(target, molar_mass)
    if source.dimensions != target.dimensions:
        raise ValueError("the units measure different things")
    return value * source.factor / target.factor


def _in_mass(unit: Unit, molar_mass: Decimal) -> Unit:
    powers = Counter(dict(unit.dimensions))
    amount = powers.pop("mol", 0)
    powers["g"] += amount
    return Unit(unit.factor * Fraction(molar_mass) ** amount, _without_zeros(powers))


@lru_cache(maxsize=256)
def parse(code: str) -> Unit:
    """Read a UCUM code.

    Raises
    ------
    ValueError
        It is not known.
    """
    if not code or len(code) > 64 or code[-1] in "./" or code[0] == ".":
        raise ValueError("no UCUM code")
    factor, powers = Fraction(1), Counter[str]()
    for sign, written in _parts(code):
        one, exponent = _part(written)
        factor *= one.factor ** (sign * exponent)
        for name, power in one.dimensions:
            powers[name] += power * sign * exponent
    return Unit(factor, _without_zeros(powers))


def _parts(code: str) -> Iterator[tuple[int, str]]:
    """Divide at ``.`` and ``/``; the sign is -1 behind a ``/``. Annotations may hold either.

    Raises
    ------
    ValueError
        Something is left over.
    """
    pieces = re.findall(r"([./]?)((?:\{[^}]*\}|\[[^\]]*\]|[^./{\[])+)", code)
    if "".join(mark + piece for mark, piece in pieces) != code:
        raise ValueError("no UCUM code")
    for mark, piece in pieces:
        yield (-1 if mark == "/" else 1), piece


def _part(written: str) -> tuple[Unit, int]:
    found = _PART.fullmatch(written)
    if found is None:
        raise ValueError("no UCUM code")
    symbol, exponent, annotation = found.groups()
    if not symbol and annotation and exponent is None:
        return _unit(1), 1
    return _symbol(symbol), int(exponent or 1)


def _symbol(symbol: str) -> Unit:
    if symbol.startswith(("10*", "10^")):
        return _unit(Fraction(10) ** int(symbol[3:]))
    if symbol.isdecimal():
        return _unit(int(symbol))
    known = _PLAIN.get(symbol) or _METRIC.get(symbol)
    if known is not None:
        return known
    for prefix, power in _PREFIXES.items():
        base = _METRIC.get(symbol.removeprefix(prefix)) if symbol.startswith(prefix) else None
        if base is not None:
            return Unit(base.factor * Fraction(10) ** power, base.dimensions)
    raise ValueError("the unit is not known")


def _without_zeros(powers: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((name, power) for name, power in powers.items() if power))
