"""How weights, inputs and outputs may be treated: the options whose defaults a target may set."""

from __future__ import annotations

POLICIES: dict[str, tuple[str, ...]] = {
    "weights": ("ignore", "tensor", "stream"),
    "io": ("host", "resident", "external"),
    "inplace": ("on", "off"),
    "join": ("on", "off"),
}
"""What may be written for each; `memplan.Options` says what the words mean."""
