"""A network that gives, for each generated object, a mixture of Gaussians from which the reconstructed one is drawn."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_LOG_SIGMA = (-7.0, 3.0)
"""Widths of a Gaussian lie between e^-7 and e^3 of the standard deviation over all objects: none is a point."""


def _perceptron(widths: list[int]) -> Any:
    steps: list[nn.Module] = []
    for before, after in pairwise(widths):
        steps += [nn.Linear(before, after), nn.SiLU()]
    return nn.Sequential(*steps)


class Mixture(nn.Module):  # type: ignore[misc]  # torch is not typed here
    r"""Mixture density network with full covariances, and an efficiency.

    A multilayer perceptron (SiLU) of the conditions c gives for each of K components a weight :math:`w_k` (softmax), a
    mean :math:`\mu_k` and a lower triangular :math:`L_k` with positive diagonal; another one, half as
    wide, a logit :math:`\ell` (in one network the density would take all the training):

    .. math:: x = \mu_k + L_k z, \quad k = \#\{j < K: u \ge w_1 + \dots + w_j\}, \quad \varepsilon = 1 / (1 + e^{-\ell})

    for standard normal z and uniform u. Where what is found has :math:`x_i \ge b`, the model gives x with the density that
    it has there, and the efficiency counts what lies below as not found: x is drawn as before, with the probability
    :math:`\varepsilon / P(x_i \ge b)`, at most 1, and whoever draws leaves out what is below. Bishop, Mixture density networks (1994), NCRG/94/004; as a fast simulation of a
    detector, with K = 1, arXiv:2010.01835.

    Parameters
    ----------
    inputs, outputs
        C and D, the numbers of conditions and of results, both standardised.
    components
        K.
    hidden, layers
        Width and number of the hidden layers.
    efficiency
        Whether there is a logit; else the efficiency is 1.
    """

    def __init__(
        self, *, inputs: int, outputs: int, components: int, hidden: int, layers: int, efficiency: bool
    ) -> None:
        super().__init__()
        self.outputs, self.components, self.efficiency = outputs, components, efficiency
        self.body = _perceptron([inputs, *[hidden] * layers])
        self._below = outputs * (outputs - 1) // 2
        self.head = nn.Linear(hidden, components * (1 + 2 * outputs + self._below))
        if efficiency:
            narrow = max(hidden // 2, 1)
            self.found = _perceptron([inputs, *[narrow] * layers]).append(nn.Linear(narrow, 1))

    def forward(
        self, cond: Tensor, normal: Tensor, uniform: Tensor, border: Tensor | None = None, bounded: int = 0
    ) -> tuple[Tensor, Tensor]:
        """x (B, D) and efficiency (B,) for conditions (B, C), normal (B, D) and uniform numbers (B,); draws none.

        With ``border`` (B,), the efficiency is that before objects are left out whose x number ``bounded`` is below it.
        """
        weight, shape = self._numbers(cond)
        # u against the partial sums of e^weight, with u scaled to the last: torch's softmax takes long for few entries.
        shares = torch.exp(weight - weight.amax(1, keepdim=True))
        borders = torch.cumsum(shares, 1)
        chosen = (uniform[:, None] * borders[:, -1:] >= borders[:, :-1]).sum(1)
        own = shape.gather(1, chosen[:, None, None].expand(-1, 1, shape.shape[2]))[:, 0]
        mean, root = self._gaussian(own)
        x = mean + (root * normal[:, None, :]).sum(2)
        efficiency = torch.sigmoid(self.found(cond)[:, 0]) if self.efficiency else torch.ones_like(x[:, 0])
        if border is not None:
            mean, sigma = self._marginal(shape, bounded)
            above = torch.special.ndtr((mean - border[:, None]) / sigma)
            efficiency = efficiency * borders[:, -1] / (shares * above).sum(1)
        return x, efficiency

    def loss(self, cond: Tensor, x: Tensor, found: Tensor) -> Tensor:
        """Mean of -log p(x | c) over the objects ``found`` (B,), bool, plus the mean binary cross entropy of all."""
        weight, shape = self._numbers(cond[found])
        mean, root = self._gaussian(shape)
        z = torch.linalg.solve_triangular(root, (x[found][:, None, :] - mean)[..., None], upper=False)[..., 0]
        log_det = root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        log_p = -0.5 * z.square().sum(-1) - log_det - 0.5 * self.outputs * math.log(2 * math.pi)
        # The mean, which of no object at all is 0.
        loss = -torch.logsumexp(torch.log_softmax(weight, 1) + log_p, 1).sum() / max(len(mean), 1)
        if self.efficiency:
            logit = self.found(cond)[:, 0]
            loss = loss + functional.binary_cross_entropy_with_logits(logit, found.to(logit.dtype))
        return loss

    def _numbers(self, cond: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the components (B, K), and the numbers of their Gaussians (B, K, 2D + D(D - 1)/2)."""
        raw = self.head(self.body(cond))
        return raw[:, : self.components], raw[:, self.components :].unflatten(1, (self.components, -1))

    def _marginal(self, numbers: Tensor, i: int) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of x number i (...,): row i of the root stands in one piece below the diagonal."""
        d = self.outputs
        sigma = numbers[..., d + i].clamp(*_LOG_SIGMA).exp()
        if i > 0:
            first = 2 * d + i * (i - 1) // 2
            sigma = (sigma.square() + numbers[..., first : first + i].square().sum(-1)).sqrt()
        return numbers[..., i], sigma

    def _gaussian(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (..., D) and lower triangular root of the covariance (..., D, D)."""
        d = self.outputs
        mean, log_sigma, below = numbers.split([d, d, self._below], -1)
        rows, columns = torch.tril_indices(d, d, -1, device=numbers.device)
        root = torch.diag_embed(log_sigma.clamp(*_LOG_SIGMA).exp())
        root[..., rows, columns] = below
        return mean, root
