# SPDX-License-Identifier: MIT
"""camera_data() of SPEC 5.20, in both directions, and where the camera moves grid positions (SPEC 7.5).

Integers only. Imports numpy and the format's own modules.
"""

from __future__ import annotations

import numpy as np

from . import entropy, validate_camera
from .records import CAMERA_VALUES, CameraData, Int64
from .schema import U8, FieldStream, Values


def camera_data(io: FieldStream, camera: CameraData | None, frame_count: int) -> CameraData:
    """Transfer offsets and slopes of every frame, as steps from the frame before."""
    v: Values = {}
    steps: list[Int64 | None] = [None] * CAMERA_VALUES
    if camera is not None:
        v = {"offset_bits": camera.offset_bits, "slope_bits": camera.slope_bits}
        steps = list(np.diff(camera.values, axis=0, prepend=0).T)
    io.field(v, "offset_bits", U8)
    validate_camera.offset_bits(io.place, v["offset_bits"])
    io.field(v, "slope_bits", U8)
    validate_camera.slope_bits(io.place, v["slope_bits"])
    planes = [entropy.plane(io, f"camera_step[{i}]", steps[i], frame_count) for i in range(CAMERA_VALUES)]
    found = camera or CameraData(v["offset_bits"], v["slope_bits"], np.stack(planes, axis=1).cumsum(0))
    validate_camera.camera_values(io.place, int(found.values.min()), int(found.values.max()))
    return found


def moved(camera: CameraData, frame: int, grid: Int64, spans: tuple[int, int], fraction_bits: int) -> Int64:
    """Grid positions [M, 2] inside the grid, where they are in `frame` of the GoP; may lie outside the grid."""
    x_offset, y_offset, xx, xy, yx, yy = (int(value) for value in camera.values[frame])
    from_centre = 2 * grid - np.array(spans, np.int64)
    slopes = np.array([[xx, xy], [yx, yy]], np.int64)
    offsets = np.array([x_offset, y_offset], np.int64) << (fraction_bits + camera.slope_bits + 1)
    total = offsets + ((from_centre @ slopes.T) << camera.offset_bits)
    whole = 1 << (camera.offset_bits + camera.slope_bits + 1)
    result: Int64 = grid + (2 * total + whole) // (2 * whole)
    return result
