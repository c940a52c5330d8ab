# SPDX-License-Identifier: MIT
"""What part of the picture to draw, how large; the colour space. Imports the kernels and the format's records."""

from dataclasses import dataclass

from gscodec.format.records import SequenceHeader
from gscodec.kernels.reference_filter import RGB_TO_YCC

YCC_TO_RGB = RGB_TO_YCC  # orthonormal: what takes columns there takes rows back; rgb = ycc @ YCC_TO_RGB


@dataclass(frozen=True)
class View:
    """What part of the picture to draw, and how large.

    `size` is (width, height) of the whole picture in output pixels; the Gaussians are drawn at that size, nothing is
    resampled. `crop` is (x, y, width, height) in output pixels inside it.
    """

    size: tuple[int, int]
    crop: tuple[int, int, int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the drawn array."""
        return self.crop[3], self.crop[2]

    def widened(self, reach: int) -> "View":
        """This view with `reach` pixels more on each side, as far as there is picture."""
        x, y, width, height = self.crop
        left, top = max(0, x - reach), max(0, y - reach)
        right, bottom = min(self.size[0], x + width + reach), min(self.size[1], y + height + reach)
        return View(self.size, (left, top, right - left, bottom - top))

    def inside(self, other: "View") -> tuple[slice, slice]:
        """Rows and columns of what is drawn of `other`, of which this view is a part."""
        x, y = self.crop[0] - other.crop[0], self.crop[1] - other.crop[1]
        return slice(y, y + self.crop[3]), slice(x, x + self.crop[2])


def make_view(
    header: SequenceHeader,
    size: tuple[int, int] | None = None,
    crop: tuple[int, int, int, int] | None = None,
) -> View:
    """The view for an asked size and crop; the whole picture at its coded size by default."""
    size = size or (header.width, header.height)
    return View(size, crop or (0, 0, *size))
