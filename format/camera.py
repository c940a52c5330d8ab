# SPDX-License-Identifier: MIT
"""camera_data() of SPEC 5.20, in both directions. Imports numpy and the format's own modules."""

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
