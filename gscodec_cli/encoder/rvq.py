# SPDX-License-Identifier: MIT
"""Residual vector quantisers of colours that can be trained through (paper 001, appendix C, eq. 11-13), as written and
entropy-constrained.

They have the interface of those in `quantise`. Knows tensors, not bytes.
"""

from __future__ import annotations

import torch
from torch import Tensor

COMMITMENT = 0.1  # lambda of paper 001 eq. 13
EMA_DECAY = 0.99


class ResidualVector:
    """Residual vector quantisation in M stages of B codewords (paper 001 eq. 11), k-means start, EMA codebooks,
    commitment loss (eq. 12).

    Codeword entries are themselves multiples of `entry_step`, so that what is trained is what is coded.
    """

    ENTRY_BITS = 12

    def __init__(self, x: Tensor, stages: int, size: int, generator: torch.Generator) -> None:
        self.codebooks: list[Tensor] = []
        self.commitment = torch.zeros(())
        residual = x.detach()
        for _ in range(stages):
            book = _k_means(residual, size, generator)
            self.codebooks.append(book)
            residual = residual - book[_nearest(residual, book)]
        self.entry_steps = [
            float(book.abs().max().clamp_min(1e-6)) / (2 ** (self.ENTRY_BITS - 1) - 1) for book in self.codebooks
        ]
        self._counts = [torch.ones(size) for _ in range(stages)]
        self._sums = [book.clone() for book in self.codebooks]

    def coded_book(self, stage: int) -> Tensor:
        """Codebook of a stage as the decoder has it, [B, C]."""
        step = self.entry_steps[stage]
        limit = 2 ** (self.ENTRY_BITS - 1) - 1
        return torch.round(self.codebooks[stage] / step).clamp(-limit, limit) * step

    def fake(self, x: Tensor, noise: bool) -> Tensor:
        """What decoding gives for x [N, C].

        Also updates the codebooks and `commitment`. Noise stands for nothing here and is ignored.
        """
        residual, total = x.detach(), torch.zeros_like(x)
        self.commitment = torch.zeros(())
        for stage in range(len(self.codebooks)):
            book = self.coded_book(stage)
            index = _nearest(residual, book)
            self._update(stage, residual, index)
            total = total + book[index]
            residual = residual - book[index]
            self.commitment = self.commitment + ((x - total) ** 2).mean()
        return x + (total - x).detach()

    def _update(self, stage: int, residual: Tensor, index: Tensor) -> None:
        """Move each codeword towards the mean of what it stands for."""
        counts = torch.zeros_like(self._counts[stage]).index_add_(0, index, torch.ones(len(index)))
        sums = torch.zeros_like(self._sums[stage]).index_add_(0, index, residual)
        self._counts[stage].lerp_(counts, 1 - EMA_DECAY)
        self._sums[stage].lerp_(sums, 1 - EMA_DECAY)
        used, book = self._counts[stage][:, None] > 1e-2, self.codebooks[stage]
        book.copy_(torch.where(used, self._sums[stage] / self._counts[stage][:, None], book))

    @torch.no_grad()
    def symbols(self, x: Tensor) -> Tensor:
        """Codeword indices [N, M] int64."""
        residual, out = x, []
        for stage in range(len(self.codebooks)):
            book = self.coded_book(stage)
            index = _nearest(residual, book)
            out.append(index)
            residual = residual - book[index]
        return torch.stack(out, 1)

    def entry_symbols(self, stage: int) -> Tensor:
        """Signed integers [B, C] of a stage's codebook."""
        return torch.round(self.coded_book(stage) / self.entry_steps[stage]).long()

    def coded(self, symbols: Tensor) -> tuple[list[Tensor], Tensor]:
        """What a file holds for codeword indices [N, M]: signed integers [B, C] of every stage, and indices [N, M]."""
        return [self.entry_symbols(stage) for stage in range(len(self.codebooks))], symbols

    def learnables(self) -> list[Tensor]:
        """Nothing: codebooks follow their moving averages."""
        return []


class EntropyConstrained:
    """Residual vector quantisation at the least of squared error + `slope` * bits, in M stages of B codewords.

    Bits are -log2 of how often a codeword is used, by moving average. Codewords are fitted when values are first
    rounded, then follow what they stand for; those that nothing uses begin anew where the cost is highest. Their
    entries are multiples of ENTRY_SHARE * `step`, the step of a uniform quantiser that would serve the same values.
    """

    ENTRY_SHARE = 0.5
    BEAM = 8  # choices that are followed from stage to stage
    ROUNDS = 24  # of the first fit, the slope being reached after half of them
    RESEED = 20  # steps
    UNUSED = 0.05  # uses a step, on average

    def __init__(self, stages: int, size: int, step: float, slope: float, generator: torch.Generator) -> None:
        self.stages, self.size, self.slope, self.generator = stages, size, slope, generator
        self.uniform_step, self.entry_steps = step, [step * self.ENTRY_SHARE] * stages
        self.codebooks: list[Tensor] = []
        self._counts: list[Tensor] = []
        self._sums: list[Tensor] = []
        self._age = 0

    def step(self) -> Tensor:
        """[3] float32: what a uniform quantiser in its place would have."""
        return torch.full((3,), self.uniform_step)

    def fake(self, x: Tensor, noise: bool) -> Tensor:
        """What decoding gives for x [N, 3], with the codewords moved after it; or x with noise of `step`."""
        if noise:
            return x + (torch.rand_like(x) - 0.5) * self.uniform_step
        values = x.detach()
        self._ready(values)
        index = self._choose(values, self.slope)
        total = self._sum(index)
        self._follow(values, index)
        return x + (total - x).detach()

    @torch.no_grad()
    def symbols(self, x: Tensor) -> Tensor:
        """Codeword indices [N, M] int64."""
        self._ready(x.detach())
        return self._choose(x.detach(), self.slope)

    def coded(self, symbols: Tensor) -> tuple[list[Tensor], Tensor]:
        """What a file holds for codeword indices [N, M]: signed integers [B, C] of every stage, and indices [N, M].

        Codewords go up by their first component, so that an index tells something of its neighbours; those that no
        Gaussian uses are zeros.
        """
        books, indices = [], []
        for stage, index in enumerate(symbols.unbind(1)):
            book = torch.zeros_like(self.codebooks[stage]).long()
            used = index.unique()
            book[used] = torch.round(self.codebooks[stage][used] / self.entry_steps[stage]).long()
            order = book[:, 0].argsort(stable=True)
            books.append(book[order])
            indices.append(order.argsort()[index])
        return books, torch.stack(indices, 1)

    def learnables(self) -> list[Tensor]:
        """Nothing: codebooks follow their moving averages."""
        return []

    def _book(self, stage: int) -> Tensor:
        return torch.round(self.codebooks[stage] / self.entry_steps[stage]) * self.entry_steps[stage]

    def bits(self, stage: int) -> Tensor:
        """[B] estimated bits of each codeword of a stage."""
        counts = self._counts[stage].clamp_min(self.UNUSED / 2)
        return -torch.log2(counts / counts.sum())

    def _sum(self, index: Tensor) -> Tensor:
        return torch.stack([self._book(stage)[i] for stage, i in enumerate(index.unbind(1))]).sum(0)

    def _choose(self, x: Tensor, slope: float) -> Tensor:
        """Indices [N, M] of the least cost, by a search that follows the BEAM best choices from stage to stage."""
        residual, spent = x[:, None], torch.zeros(len(x), 1)
        paths = torch.zeros(len(x), 1, 0, dtype=torch.long)
        for stage in range(len(self.codebooks)):
            book, width = self._book(stage), residual.shape[1]
            price = spent[:, :, None] + slope * self.bits(stage)
            error = residual.square().sum(2)[:, :, None] - 2 * residual @ book.T + book.square().sum(1)
            most = self.BEAM if stage + 1 < len(self.codebooks) else 1
            _, best = (error + price).flatten(1).topk(min(most, width * self.size), largest=False)
            parent, index = best // self.size, best % self.size
            spent = price.flatten(1).gather(1, best)
            residual = residual.gather(1, parent[:, :, None].expand(-1, -1, x.shape[1])) - book[index]
            paths = torch.cat([paths.gather(1, parent[:, :, None].expand(-1, -1, stage)), index[:, :, None]], 2)
        return paths[:, 0]

    def _ready(self, x: Tensor) -> None:
        """Fit the codewords to x [N, C] if that has not been done."""
        if self.codebooks:
            return
        residual = x
        for _ in range(self.stages):
            book = _k_means(residual, self.size, self.generator)
            index = _nearest(residual, book)
            residual = residual - book[index]
            self.codebooks.append(book)
            self._counts.append(torch.bincount(index, minlength=self.size).float())
        self._sums = [book * counts[:, None] for book, counts in zip(self.codebooks, self._counts, strict=True)]
        for turn in range(self.ROUNDS):
            share = min(1.0, 2 * turn / self.ROUNDS)
            self._move(x, self._choose(x, self.slope * share), 1.0)
            if turn < self.ROUNDS - 4:
                self._reseed(x, self._choose(x, self.slope * share))

    def _follow(self, x: Tensor, index: Tensor) -> None:
        """Move every codeword a little towards the mean of what it stands for."""
        self._move(x, index, 1 - EMA_DECAY)
        self._age += 1
        if self._age % self.RESEED == 0:
            self._reseed(x, index)

    def _move(self, x: Tensor, index: Tensor, share: float) -> None:
        """Blend this `share` of how x [N, C] uses the codewords into what they follow, one stage after the other."""
        for stage, chosen in enumerate(index.unbind(1)):
            aim = x - self._sum(index) + self._book(stage)[chosen]
            counts = torch.zeros(self.size).index_add_(0, chosen, torch.ones(len(chosen)))
            sums = torch.zeros_like(self._sums[stage]).index_add_(0, chosen, aim)
            self._counts[stage].lerp_(counts, share)
            self._sums[stage].lerp_(sums, share)
            used = self._counts[stage] > 1e-2
            self.codebooks[stage][used] = (self._sums[stage] / self._counts[stage][:, None])[used]

    def _reseed(self, x: Tensor, index: Tensor) -> None:
        """Put the codewords that are hardly used where the cost is highest, as if one Gaussian used each."""
        error = x - self._sum(index)
        spent = torch.stack([self.bits(stage)[i] for stage, i in enumerate(index.unbind(1))]).sum(0)
        worst = (error.square().sum(1) + self.slope * spent).argsort(descending=True, stable=True)
        for stage in range(self.stages):
            unused = torch.nonzero(self._counts[stage] < self.UNUSED)[:, 0][: len(worst)]
            taken, worst = worst[: len(unused)], worst[len(unused) :]
            book = error[taken] + self._book(stage)[index[taken, stage]]
            self.codebooks[stage][unused[: len(taken)]] = book
            self._counts[stage][unused[: len(taken)]] = 1.0
            self._sums[stage][unused[: len(taken)]] = book


def _nearest(x: Tensor, book: Tensor) -> Tensor:
    """Index [N] of the codeword nearest to each row of x [N, C]."""
    return (book.square().sum(1) - 2 * x @ book.T).argmin(1)


def _k_means(x: Tensor, size: int, generator: torch.Generator, rounds: int = 12) -> Tensor:
    """Lloyd's algorithm from a random sample of x [N, C]; codewords without members are left where they are."""
    pick = (
        torch.randint(len(x), (size,), generator=generator)
        if len(x) < size
        else torch.randperm(len(x), generator=generator)[:size]
    )
    book = x[pick].clone()
    for _ in range(rounds):
        index = _nearest(x, book)
        counts = torch.bincount(index, minlength=size).float()
        sums = torch.zeros_like(book).index_add_(0, index, x)
        book = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp_min(1), book)
    return book
