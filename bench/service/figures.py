"""A measured figure, what it has to hold, and how it is printed."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """`hold` is the least value if `least`, else the greatest; None: it is only reported."""

    name: str
    value: float
    unit: str = ""
    hold: float | None = None
    least: bool = False
    spread: str = ""

    @classmethod
    def ratio(cls, name: str, ours: list[float], theirs: list[float], *, hold: float | None = None) -> Figure:
        """The median of the ratios of paired rounds."""
        ratios = [own / other for own, other in zip(ours, theirs, strict=True)]
        return cls(
            name, median(ratios), hold=hold, least=True, spread=f"{min(ratios):.2f} to {max(ratios):.2f}"
        )

    @property
    def holds(self) -> bool:
        """True when it is as it should be."""
        if self.hold is None:
            return True
        return self.value >= self.hold if self.least else self.value <= self.hold

    def __str__(self) -> str:
        text = f"{self.name} {_number(self.value)}{self.unit}"
        if self.spread:
            text += f" ({self.spread})"
        if self.hold is not None:
            text += f", hold {'≥' if self.least else '≤'} {_number(self.hold)}{self.unit}"
            text += "" if self.holds else " FALLS SHORT"
        return text


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
