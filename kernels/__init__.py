# SPDX-License-Identifier: MIT
"""Arrays to arrays: drawing Gaussians, hash encoding, the deformation field. Knows no bytes and no GoPs.

Imports numpy and the compiled module only; torch is met in `gscodec.kernels.autograd` and `torch_ref` alone.
"""

from .adam import Adam
from .detail import blend_detail
from .encoding import HashGeometry, hash_encode, hash_encode_backward
from .errors import BackendError, KernelError, ShapeError
from .field import FieldPlan, FieldWeights, field_backward, field_forward
from .filter import filter_picture
from .gaussians import Gaussians2D, chol_to_conic
from .loss import mixture_bits, splat_loss
from .optimiser import adam_step
from .place import PlaceSettings, active_windows, place, place_backward
from .quantise import quantise
from .raster import covered_pixels, rasterize, rasterize_backward, render_rgb8
from .registry import Backend, Engine, backends, last_engine

__all__ = [
    "Adam",
    "Backend",
    "BackendError",
    "Engine",
    "FieldPlan",
    "FieldWeights",
    "Gaussians2D",
    "HashGeometry",
    "KernelError",
    "PlaceSettings",
    "ShapeError",
    "active_windows",
    "adam_step",
    "backends",
    "blend_detail",
    "chol_to_conic",
    "covered_pixels",
    "field_backward",
    "field_forward",
    "filter_picture",
    "hash_encode",
    "hash_encode_backward",
    "last_engine",
    "mixture_bits",
    "place",
    "place_backward",
    "quantise",
    "rasterize",
    "rasterize_backward",
    "render_rgb8",
    "splat_loss",
]
