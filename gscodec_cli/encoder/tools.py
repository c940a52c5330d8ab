# SPDX-License-Identifier: MIT
"""The coding tools of a GoP and the effort spent on it, as data. Imports nothing of ours."""

from __future__ import annotations

from dataclasses import dataclass, replace

USUAL_FRAMES = 28  # of a GoP; a step looks at one of them


@dataclass(frozen=True)
class HashLayout:
    """Geometry and width of a hash field (paper 001, section II.B and appendix B).

    Sizes are entries, features and neurons; `input_scale` maps [0, 1] of x, y and t into the grid (SPEC 7.7).
    """

    levels: int
    log2_table_size: int
    features_2d: int
    features_3d: int
    base_resolution: int
    growth: float
    frequencies: int
    hidden_width: int
    input_scale: tuple[float, float, float]

    def resolutions(self) -> tuple[int, ...]:
        """Vertices per axis of every level: floor(base * growth^l), paper 001 eq. 3."""
        return tuple(int(self.base_resolution * self.growth**level) for level in range(self.levels))


@dataclass(frozen=True)
class Tools:
    """The coding tools of a GoP and the precision of their parameters; one value per profile, each one an option."""

    shape_log: bool
    energy_colour: bool
    ycc: bool
    normalised: bool
    window: bool
    motion_degree: int
    drift: bool
    camera: bool  # one affine map per frame, where it makes paths straighter
    detail: bool  # a picture of what the Gaussians leave out, which moves with them or stays in place
    residual: bool  # what each frame still misses, as cosine coefficients in space and time
    filter: bool  # what every frame goes through in the end
    repeats: bool  # frames that show again what the one before them shows are not coded
    births: bool
    lattice: bool  # a step of training looks at every n-th pixel where Gaussians are wide enough
    field: HashLayout | None
    mean_bits: int | None  # of a coordinate, margins included; None: as `mean_fraction_bits` says
    mean_fraction_bits: int  # of a coordinate, after the point: steps of 2^-bits px
    shape_bits: int
    field_bits: int
    rvq: bool  # colours by residual vector quantisation, in GoPs that are all decoded alone
    rvq_stages: int
    rvq_codebook: int
    amplitude_step: float
    rate_slope: float  # lambda, in squared amplitude steps per bit; 0 trains without a rate term
    spare: float  # share of Gaussians that is trained on top and dropped before compression, those that matter least


@dataclass(frozen=True)
class Effort:
    """Iterations of the three stages, in optimiser steps on one frame, and the learning rates they begin with.

    key: coarse fit of the key frame (KFCI, paper 001 II.C). joint: canonical Gaussians and motion on all frames.
    tune: the same with compression simulated (paper 001 appendix C); both for a GoP of at most USUAL_FRAMES. A rate
    decays along a half cosine to a tenth over its stage.
    """

    key_iterations: int
    joint_iterations: int
    tune_iterations: int
    lr_gaussian: float
    lr_field: float

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return self.key_iterations + self.joint_iterations + self.tune_iterations

    def at_most(self, other: Effort) -> Effort:
        """This effort with no more steps in a stage than another one."""
        names = ("key_iterations", "joint_iterations", "tune_iterations")
        return replace(self, **{name: min(getattr(self, name), getattr(other, name)) for name in names})

    def for_gop(self, frames: int) -> Effort:
        """This effort for a GoP of so many frames: as much for each of them in a longer one."""
        more = max(1.0, frames / USUAL_FRAMES)
        joint, tune = (round(steps * more) for steps in (self.joint_iterations, self.tune_iterations))
        return replace(self, joint_iterations=joint, tune_iterations=tune)
