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
# PSNR for e times the Gaussians, and for a share 1/e of them: both on the safe side.
DB_GAINED, DB_LOST = 2.0, 4.0
RESIDUAL = 0.7  # dB that a residual brings, about, before there is one
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
    """What one GoP is trained towards."""

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
    """Coded bits of a GoP: at most `allowed` * 1.003, and 1 % less at the least where that can be reached.

    `guess` is what a GoP like this one took: its `per_load` and `fixed` bits.
    """

    UNDER, OVER = 0.01, 0.003
    ABOVE = 0.002  # aimed at more than the target: what is too much can be trimmed
    # Above the target by more than FAR, or below it by more than UNDER, Gaussians are dropped or added and the rest is
    # trained on. A trim is not trained: of 3 % of the bits it costs 0.25 dB, 0.1 dB with training.
    FAR = 0.006
    TRIMMED = 0.001  # below the target at most, once trimmed

    def __init__(self, meter: Meter, allowed: float, guess: Cost) -> None:
        super().__init__(meter)
        self.allowed, self.guess = allowed, guess

    def start(self) -> float:
        return self._within((self.allowed - self.guess.fixed) / self.guess.per_load)

    def grow(self, trainer: Trainer) -> float:
        return min(self.keep(trainer), 1.6 * self.start())

    def keep(self, trainer: Trainer) -> float:
        cost = self.meter.cost(trainer)
        trained = 1.0 if trainer.rated else TRAINED_SHARE
        return self._within((self.allowed * (1 + self.ABOVE) - cost.fixed) / (cost.per_load * trained))

    def settle(self, trainer: Trainer) -> None:
        for _ in range(ROUNDS):
            cost = self.meter.cost(trainer)
            wanted = self._within(cost.load + (self.allowed * (1 + self.ABOVE) - cost.bits) / cost.per_load)
            if -self.UNDER < cost.bits / self.allowed - 1 < self.FAR or abs(wanted / cost.load - 1) < 0.002:
                break
            shrink(trainer, wanted) if wanted < cost.load else extend(trainer, wanted)
        _trim(trainer, lambda: self.meter.cost(trainer).bits / self.allowed - 1, -self.TRIMMED, self.OVER)


class PsnrAim(Aim):
    """A PSNR of the decoded frames in dB, met within 0.05 dB where it can be."""

    MARGIN = 0.4  # dB that quantisation costs
    SURPLUS = 0.15  # dB aimed at too high, once too little was reached
    NEAR = 0.05

    def __init__(self, meter: Meter, psnr: float, guess: float) -> None:
        super().__init__(meter)
        self.psnr, self.guess, self.least = psnr, guess, 0.0

    def start(self) -> float:
        return self._within(self.guess)

    def grow(self, trainer: Trainer) -> float:
        # A round of births comes early: training alone still brings about a dB.
        to_come = 1.0 + RESIDUAL * trainer.plan.tools.residual
        return max(self.least, self._toward(trainer, self.psnr + self.MARGIN - to_come, trainer.psnr()))

    def keep(self, trainer: Trainer) -> float:
        wanted = max(self.least, self._toward(trainer, self.psnr + self.MARGIN - trainer.gained, trainer.psnr()))
        return min(wanted, trainer.model.load)

    def settle(self, trainer: Trainer) -> None:
        least = 0.0
        for _ in range(ROUNDS):
            load, found = trainer.model.load, self.meter.psnr(trainer)
            wanted = max(least, self._toward(trainer, self.psnr + self.NEAR, found))
            if found - self.psnr < 0.5 or wanted > 0.995 * load:
                break
            before = trainer.model.state()
            shrink(trainer, wanted)
            if self.meter.psnr(trainer) < self.psnr - self.NEAR:
                trainer.model.restore(before)  # too many went
                least = math.sqrt(wanted * load)
        _trim(trainer, lambda: self.meter.psnr(trainer) - self.psnr, -self.NEAR / 2, self.NEAR, rather_more=True)

    def again(self, trainer: Trainer) -> bool:
        found, load = self.meter.psnr(trainer), trainer.model.load
        self.guess = self._within(load * min(math.exp((self.psnr + self.SURPLUS - found) / DB_GAINED), 4.0))
        self.least = self.guess
        # Gaussians added to a trained GoP never get as good as those that were there from the start.
        return found < self.psnr - 2 * self.NEAR and self.guess > 1.02 * load

    def worth(self, bits: int, psnrs: Sequence[float]) -> float:
        missing = max(0.0, self.psnr - self.NEAR - sum(psnrs) / len(psnrs))
        return worth(bits, [self.psnr]) - MISSED * missing  # more than was asked for is worth nothing

    def _toward(self, trainer: Trainer, wanted: float, found: float) -> float:
        change = math.exp((wanted - found) / (DB_GAINED if wanted > found else DB_LOST))
        return self._within(trainer.model.load * min(max(change, 0.4), 2.5))


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
