# SPDX-License-Identifier: MIT
"""Bits by component: where the bytes of a GoP, and of a file, went. Imports the standard library only."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True)
class GopBits:
    """Bits per component.

    `camera` is how the whole picture moves, `carry` which Gaussians go on from the GoP before; `motion` includes colour
    drift, `detail` is what the Gaussians leave out, `residual` what each frame still misses then, `filter` what the
    picture goes through in the end, `headers` everything that is not a parameter.
    """

    camera: int = 0
    carry: int = 0
    means: int = 0
    shapes: int = 0
    colours: int = 0
    codebooks: int = 0
    field_tables: int = 0
    mlp: int = 0
    windows: int = 0
    motion: int = 0
    detail: int = 0
    residual: int = 0
    filter: int = 0
    headers: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.as_dict().values())

    @property
    def fixed(self) -> int:
        """What does not grow with the number of Gaussians."""
        ours = self.camera + self.codebooks + self.field_tables + self.mlp
        return ours + self.detail + self.residual + self.filter + self.headers

    def as_dict(self) -> dict[str, int]:
        """{component: bits}, in the order of the file."""
        return asdict(self)

    def __add__(self, other: GopBits) -> GopBits:
        ours, theirs = self.as_dict(), other.as_dict()
        return GopBits(**{name: ours[name] + theirs[name] for name in ours})


COMPONENTS = tuple(f.name for f in fields(GopBits))
