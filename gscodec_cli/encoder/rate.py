# SPDX-License-Identifier: MIT
"""What a GoP is trained towards: so many Gaussians, so many coded bits, a PSNR, or a constant slope of rate and
distortion.

An `Aim` is asked wherever Gaussians may be added or dropped, and settles the GoP at its end on bits that were really
counted. Loads are numbers of Gaussians in which one that is carried over from the GoP before counts less
(`GopModel.loads`). Must not import the verbs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gscodec_cli.encoder.fit import extend, shrink
from gscodec_cli.encoder.trainer import Trainer

TRAINED_SHARE = 0.7  # of a Gaussian's bits that is left once the rate is trained
LEAST = 4.0  # load of a GoP
ROUNDS = 4  # of dropping or adding Gaussians to meet a target
TRIM_MOST = 0.3  # of the Gaussians that may go without more training
DB_LOST = 4.0  # with a share 1/e of the Gaussians, on the safe side
PER_DOUBLING = 2.0  # dB that twice the bits bring, about
MISSED = 10.0  # a dB below the one that is asked for counts as much as so many dB


def worth(bits: int, psnrs: Sequence[float]) -> float:
    """What encoded frames are worth: their mean PSNR in dB, less what their bits would bring anywhere."""
    return sum(psnrs) / len(psnrs) - PER_DOUBLING * math.log2(bits)


@dataclass(frozen=True)
class Cost:
    """Coded bits of a GoP as it is now, those of them that do not grow with its Gaussians, and its load."""

    bits: int
    fixed: int
    load: float

    @property
    def per_load(self) -> float:
        """Bits that one Gaussian more would take."""
        return max(1.0, (self.bits - self.fixed) / max(self.load, 1e-9))


@dataclass
class Meter:
    """Measures a trainer's GoP: coded cost, and PSNR of the decoded frames in dB."""

    cost: Callable[[Trainer], Cost]
    psnr: Callable[[Trainer], float]
    most: float  # the largest load a GoP may have


class Aim(ABC):
    """What one GoP is trained towards. bits: coded, that it should take; None if that is open."""

    bits: float | None = None

    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    @abstractmethod
    def start(self) -> float:
        """Load to begin with."""

    def grow(self, trainer: Trainer) -> float:
        """Load wanted, asked at every round of births."""
        return self.start()

    def keep(self, trainer: Trainer) -> float:
        """Load to keep of what has been trained, asked when Gaussians are dropped."""
        return self.start()

    def settle(self, trainer: Trainer) -> None:  # noqa: B027 - an aim without a target has nothing to correct
        """Correct a trained GoP by what it really takes."""

    def again(self, trainer: Trainer) -> bool:
        """Whether the GoP should be trained anew, with what has been learnt from this time."""
        return False

    def finish(self, trainer: Trainer) -> None:  # noqa: B027 - most aims are met once settled
        """Correct a GoP that is not trained anew."""

    def worth(self, bits: int, psnrs: Sequence[float]) -> float:
        """What a GoP of so many bits is worth whose decoded frames have these PSNRs in dB."""
        return worth(bits, psnrs)

    def _within(self, load: float) -> float:
        return min(max(load, LEAST), self.meter.most)


class CountAim(Aim):
    """A fixed number of Gaussians."""

    def __init__(self, meter: Meter, count: float) -> None:
        super().__init__(meter)
        self.count = count

    def start(self) -> float:
        return min(self.count, self.meter.most)


class BitsAim(Aim):
    """Coded bits of a GoP: at most `bits` * 1.003, and 1 % less at the least where that can be reached.

    `guess` is what a GoP like this one took: its `per_load` and `fixed` bits.
    """

    UNDER, OVER = 0.01, 0.003
    ABOVE = 0.002  # aimed at more than the target: what is too much can be trimmed
    # Above the target by more than FAR, or below it by more than UNDER, Gaussians are dropped or added and the rest is
    # trained on. A trim is not trained: of 3 % of the bits it costs 0.25 dB, 0.1 dB with training.
    FAR = 0.006
    TRIMMED = 0.001  # below the target at most, once trimmed

    def __init__(self, meter: Meter, bits: float, guess: Cost) -> None:
        super().__init__(meter)
        self.bits: float = bits
        self.guess = guess

    def start(self) -> float:
        return self._within((self.bits - self.guess.fixed) / self.guess.per_load)

    def grow(self, trainer: Trainer) -> float:
        return min(self.keep(trainer), 1.6 * self.start())

    def keep(self, trainer: Trainer) -> float:
        cost = self.meter.cost(trainer)
        trained = 1.0 if trainer.rated else TRAINED_SHARE
        return self._within((self.bits * (1 + self.ABOVE) - cost.fixed) / (cost.per_load * trained))

    def settle(self, trainer: Trainer) -> None:
        for _ in range(ROUNDS):
            cost = self.meter.cost(trainer)
            wanted = self._within(cost.load + (self.bits * (1 + self.ABOVE) - cost.bits) / cost.per_load)
            if -self.UNDER < cost.bits / self.bits - 1 < self.FAR or abs(wanted / cost.load - 1) < 0.002:
                break
            shrink(trainer, wanted) if wanted < cost.load else extend(trainer, wanted)
        _trim(trainer, lambda: self.meter.cost(trainer).bits / self.bits - 1, -self.TRIMMED, self.OVER)


class PsnrAim(BitsAim):
    """A PSNR of the decoded frames in dB, met within 0.05 dB where it can be.

    Tries bits: `bits` at first, then what was reached says more. Gaussians, detail and residual share them as they
    do where bits are asked for.
    """

    SURPLUS = 0.15  # dB aimed at too high, once the first bits were wrong: what is too good can be trimmed
    MUCH = 0.4  # dB that are trimmed at the most
    NEAR = 0.05

    def __init__(self, meter: Meter, psnr: float, bits: float, guess: Cost) -> None:
        super().__init__(meter, bits, guess)
        self.psnr = psnr
        self._tried: list[tuple[float, float]] = []  # PSNR, log2 of bits

    def again(self, trainer: Trainer) -> bool:
        cost, found = self.meter.cost(trainer), self.meter.psnr(trainer)
        missing = self.psnr - found
        if -self.MUCH < missing < 2 * self.NEAR or cost.load == (self.meter.most if missing > 0 else LEAST):
            return False
        self._tried.append((found, math.log2(cost.bits)))
        self.guess = cost
        self.bits = 2 ** self._wanted(self.psnr + self.SURPLUS)
        return True

    def finish(self, trainer: Trainer) -> None:
        for _ in range(ROUNDS):
            excess, before = self.meter.psnr(trainer) - self.psnr, trainer.model.state()
            if excess < self.MUCH or trainer.model.load <= LEAST:
                break
            shrink(trainer, self._within(trainer.model.load * math.exp(-excess / DB_LOST)))
            if self.meter.psnr(trainer) < self.psnr - self.NEAR:
                trainer.model.restore(before)  # too many went
                break
        _trim(trainer, lambda: self.meter.psnr(trainer) - self.psnr, -self.NEAR / 2, self.NEAR, rather_more=True)

    def worth(self, bits: int, psnrs: Sequence[float]) -> float:
        missing = max(0.0, self.psnr - self.NEAR - sum(psnrs) / len(psnrs))
        return worth(bits, [self.psnr]) - MISSED * missing  # more than was asked for is worth nothing

    def _wanted(self, psnr: float) -> float:
        """log2 of the bits for this PSNR: between what was tried on both sides of it, or beyond what came nearest."""
        less = max((tried for tried in self._tried if tried[0] < psnr), default=None)
        more = min((tried for tried in self._tried if tried[0] >= psnr), default=None)
        if less and more:
            return less[1] + (psnr - less[0]) / (more[0] - less[0]) * (more[1] - less[1])
        nearest = less or more
        assert nearest is not None
        return nearest[1] + (psnr - nearest[0]) / PER_DOUBLING


class SlopeAim(Aim):
    """Constant quality: every Gaussian that brings more than its bits are worth at the trainer's slope."""

    WORTH = 0.5  # of the estimate of what a Gaussian brings, against the slope: it is an underestimate

    def __init__(self, meter: Meter, guess: float, per_load: float) -> None:
        super().__init__(meter)
        self.guess, self.per_load = guess, per_load

    def start(self) -> float:
        return self._within(self.guess)

    def grow(self, trainer: Trainer) -> float:
        if not trainer.model.load:  # nothing was carried over
            return self._within(0.0)
        share = self.keep(trainer) / trainer.model.load
        return self._within(trainer.model.load * min(max(1 + 2 * (share - 0.6), 0.5), 2.0))

    def keep(self, trainer: Trainer) -> float:
        loads = trainer.model.loads()
        worth = trainer.importance() > self.WORTH * trainer.lmbda * self.per_load * loads
        return self._within(float(loads[worth].sum()))


def _trim(trainer: Trainer, excess: Callable[[], float], low: float, high: float, *, rather_more: bool = False) -> None:
    """Drop the Gaussians that bring least until `excess`, which falls as they go, lies between `low` and `high`.

    So few go that the others need not be trained again. Where nothing lies between, the first below `high` is taken, or
    with `rather_more` the last above.
    """
    if excess() <= high:
        return
    order, state = trainer.worth_most(), trainer.model.state()
    few, many = 0, int(len(order) * TRIM_MOST)
    while few + 1 < many:
        dropped = (few + many) // 2
        trainer.model.restore(state)
        trainer.model.keep(order[: len(order) - dropped].sort().values)
        found = excess()
        if low <= found <= high:
            return
        few, many = (dropped, many) if found > high else (few, dropped)
    trainer.model.restore(state)
    dropped = few if rather_more else many
    trainer.model.keep(order[: len(order) - dropped].sort().values)
