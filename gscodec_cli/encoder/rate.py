# SPDX-License-Identifier: MIT
"""What a GoP is trained towards: so many Gaussians, so many coded bits, a PSNR, or a constant quality.

An `Aim` is asked wherever Gaussians may be added or dropped, and settles the GoP at its end on bits that were really
counted. Loads are numbers of Gaussians in which one that is carried over from the GoP before counts less
(`GopModel.loads`). Must not import the verbs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gscodec_cli.encoder.fit import Refine, extend, shrink
from gscodec_cli.encoder.trainer import Trainer, decibels

TRAINED_SHARE = 0.7  # of a Gaussian's bits that is left once the rate is trained
LEAST = 4.0  # load of a GoP
ROUNDS = 4  # of dropping or adding Gaussians to meet a target
TRIM_MOST = 0.3  # of the Gaussians that may go without more training
DB_LOST = 4.0  # with a share 1/e of the Gaussians, on the safe side
PER_DOUBLING = 2.0  # dB that twice the bits bring, about
USUAL_BPP, USUAL_PSNR = 0.05, 34.0  # of a first guess
USUAL_QUALITY, USUAL_FIGURE = 26.0, 22.0  # the figure of that quality at one bit per pixel; one better is a dB more
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

    def learn(self, trainer: Trainer) -> bool:
        """See how the training goes, before detail and residual share the bits. Returns whether it is to go on, or
        rather to begin anew with what has been learnt: not once compression is trained.
        """
        return True

    def keep(self, trainer: Trainer) -> float:
        """Load to keep of what has been trained, asked when Gaussians are dropped."""
        return self.start()

    def settle(self, trainer: Trainer) -> None:  # noqa: B027 - an aim without a target has nothing to correct
        """Correct a trained GoP by what it really takes."""

    def finish(self, trainer: Trainer, refine: Refine) -> None:  # noqa: B027 - most aims are met once settled
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


class OpenAim(BitsAim):
    """A figure that grows with the bits, whatever bits that takes: `bits` at first, then what was reached says more.

    Gaussians, detail and residual share them as they do where bits are asked for.
    """

    SURPLUS = 0.0  # aimed at too high, once the first bits were wrong: what is too good can be trimmed
    MOST_LACK: float  # by which it may miss the figure,
    MOST_EXCESS: float  # or exceed it, without another training
    # dB that PSNRs of the training rise by to the end, from where `learn` asks, with USUAL_BPP, and with twice the bits
    UNRATED, RATED, RISE = -0.5, 0.7, 0.8
    # Times the bits; where others are needed, training begins anew, once. With 1.3 times as many Gaussians as it began
    # for a GoP has 0.15 dB less than with what it should have begun with: they are fewer to choose from.
    FEWEST, MOST = 0.5, 1.2

    def __init__(self, meter: Meter, wanted: float, pixels: int, known: Cost | None, guess: Cost) -> None:
        """`wanted`: the figure of a GoP of so many pixels, in all of its frames. known: what one like it took."""
        self._usual = USUAL_BPP * pixels
        doublings = (wanted - self.figure(USUAL_PSNR, self._usual)) / self.per_doubling
        super().__init__(meter, known.bits if known else self._usual * 2**doublings, guess)
        self.wanted = wanted
        self._tried: list[tuple[float, float]] = []  # figure, log2 of bits
        self._renewed = False

    @abstractmethod
    def figure(self, psnr: float, bits: float) -> float:
        """The figure of a GoP of so many bits, whose PSNR in dB is the mean of its decoded frames'."""

    @property
    def per_doubling(self) -> float:
        """By how much twice the bits let the figure grow, about."""
        return self.figure(PER_DOUBLING, 2.0) - self.figure(0.0, 1.0)

    def learn(self, trainer: Trainer) -> bool:
        if self._tried:  # what came of a whole training says more
            return True
        rate = min(max(math.log2(self.bits / self._usual), -2.0), 2.0)
        rise = (self.RATED if trainer.rated else self.UNRATED) + self.RISE * rate
        expected = decibels(float(trainer.mse)) + rise
        times = 2 ** ((self.wanted - self.figure(expected, self.bits)) / self.per_doubling)
        if not (trainer.rated or self._renewed or self.FEWEST < times < self.MOST):
            self._renewed = True
            self.bits *= times
            return False
        self.bits *= min(times, self.MOST)
        return True

    def again(self, cost: Cost, psnr: float) -> bool:
        """Whether the GoP, of which this came, should be trained anew, with what has been learnt from it."""
        found = self.figure(psnr, cost.bits)
        missing = self.wanted - found
        if -self.MOST_EXCESS < missing < self.MOST_LACK or cost.load == (self.meter.most if missing > 0 else LEAST):
            return False
        self._tried.append((found, math.log2(cost.bits)))
        self.guess = cost
        self.bits = 2 ** self._bits_for(self.wanted + self.SURPLUS)
        return True

    def _bits_for(self, figure: float) -> float:
        """log2 of the bits for it: between what was tried on both sides of it, or beyond what came nearest."""
        less = max((tried for tried in self._tried if tried[0] < figure), default=None)
        more = min((tried for tried in self._tried if tried[0] >= figure), default=None)
        if less and more:
            return less[1] + (figure - less[0]) / (more[0] - less[0]) * (more[1] - less[1])
        nearest = less or more
        assert nearest is not None
        return nearest[1] + (figure - nearest[0]) / self.per_doubling


class PsnrAim(OpenAim):
    """A PSNR of the decoded frames in dB, met within 0.05 dB where it can be."""

    NEAR = 0.05
    SURPLUS, MOST_LACK, MOST_EXCESS = 0.15, 2 * NEAR, 0.4

    def figure(self, psnr: float, bits: float) -> float:
        return psnr

    def finish(self, trainer: Trainer, refine: Refine) -> None:
        excess = self.meter.psnr(trainer) - self.wanted
        for _ in range(ROUNDS):
            before = trainer.state()
            if excess < 2 * self.NEAR or trainer.model.load <= LEAST:
                break
            if trainer.residual is not None:
                self.bits = self.meter.cost(trainer).bits * 2 ** (-excess / PER_DOUBLING)
                refine(trainer, last=True)
            else:
                shrink(trainer, self._within(trainer.model.load * math.exp(-excess / DB_LOST)))
            excess = self.meter.psnr(trainer) - self.wanted
            if excess < -self.NEAR:
                trainer.restore(before)  # too much went
                break
        _trim(trainer, lambda: self.meter.psnr(trainer) - self.wanted, -self.NEAR / 2, self.NEAR, rather_more=True)

    def worth(self, bits: int, psnrs: Sequence[float]) -> float:
        missing = max(0.0, self.wanted - self.NEAR - sum(psnrs) / len(psnrs))
        return worth(bits, [self.wanted]) - MISSED * missing  # more than was asked for is worth nothing


class QualityAim(OpenAim):
    """Constant quality: bits that bring as much wherever they go.

    If PSNR rises by the same for twice the bits in every GoP, a bit more takes from the squared error E of a GoP of B
    bits what goes with E / B. That is what is wanted, in dB, and what `figure` gives less what is the same for all.
    """

    MOST_LACK = MOST_EXCESS = 1.5  # 0.6 dB of it in PSNR, a quarter of the bits

    def __init__(self, meter: Meter, quality: float, pixels: int, known: Cost | None, guess: Cost) -> None:
        wanted = USUAL_FIGURE + USUAL_QUALITY - quality + 10 * math.log10(pixels)
        super().__init__(meter, wanted, pixels, known, guess)

    def figure(self, psnr: float, bits: float) -> float:
        return psnr + 10 * math.log10(bits)

    def worth(self, bits: int, psnrs: Sequence[float]) -> float:
        missing = abs(self.wanted - self.figure(sum(psnrs) / len(psnrs), bits))
        return worth(bits, psnrs) - MISSED * max(0.0, missing - self.MOST_LACK)


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
