"""The network: its density is the one it samples from, and it has no randomness of its own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

import bundle_toys

torch = pytest.importorskip("torch")

from dask_augment.models.inference import architecture

WEIGHT = np.log([0.3, 0.7])
MEAN = np.array([[-1.0, 0.5, 0.0], [1.0, 0.0, -0.5]])
LOG_SIGMA = np.array([[-0.5, 0.0, 0.3], [0.2, -0.7, 0.0]])
BELOW = np.array([[0.8, -0.3, 0.4], [0.0, 0.9, -0.6]])
LOGIT = 0.4


def network(components: int = 2, efficiency: bool = True, **head: object) -> torch.nn.Module:
    about = bundle_toys.manifest(sizes={"components": components, "hidden": 8, "layers": 1}, efficiency=efficiency)
    net = architecture(about)
    net.load_state_dict({name: torch.tensor(values) for name, values in bundle_toys.arrays(about, **head).items()})
    return net


def known() -> torch.nn.Module:
    return network(weight=WEIGHT, mean=MEAN, log_sigma=LOG_SIGMA, below=BELOW, logit=LOGIT)


def roots() -> np.ndarray:
    out = np.zeros((2, 3, 3))
    for k in range(2):
        out[k][np.tril_indices(3, -1)] = BELOW[k]
        out[k] += np.diag(np.exp(LOG_SIGMA[k]))
    return out


def test_loss_is_the_density_of_scipy() -> None:
    rng = np.random.default_rng(3)
    x, found = rng.normal(size=(50, 3)), rng.random(50) < 0.6
    density = sum(
        np.exp(w) * stats.multivariate_normal(m, root @ root.T).pdf(x[found])
        for w, m, root in zip(WEIGHT, MEAN, roots(), strict=True)
    )
    p = 1 / (1 + math.exp(-LOGIT))
    expected = -np.log(density).mean() - np.where(found, math.log(p), math.log(1 - p)).mean()
    loss = known().loss(torch.randn(50, 2), torch.tensor(x, dtype=torch.float32), torch.tensor(found))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_draws_follow_the_closed_form() -> None:
    rng = np.random.default_rng(4)
    z, u = rng.normal(size=(40, 3)), np.concatenate([rng.random(38), [0.0, 1.0]])
    k = (u >= 0.3).astype(int)
    expected = MEAN[k] + np.einsum("nij,nj->ni", roots()[k], z)
    with torch.inference_mode():
        x, efficiency = known()(torch.randn(40, 2), *(torch.tensor(a, dtype=torch.float32) for a in (z, u)))
    np.testing.assert_allclose(x, expected, atol=3e-6)
    np.testing.assert_allclose(efficiency, 1 / (1 + math.exp(-LOGIT)), rtol=1e-6)


def test_one_output_one_component_no_efficiency() -> None:
    about = bundle_toys.manifest(outputs=bundle_toys.OUTPUTS[:1], efficiency=False)
    net = architecture(about)
    net.load_state_dict(
        {name: torch.tensor(v) for name, v in bundle_toys.arrays(about, mean=2.0, log_sigma=math.log(0.5)).items()}
    )
    x, efficiency = net(torch.zeros(2, 2), torch.tensor([[1.0], [-2.0]]), torch.tensor([0.2, 0.9]))
    assert x[:, 0].tolist() == [2.5, 1.0]
    assert efficiency.tolist() == [1.0, 1.0]
    loss = net.loss(torch.zeros(2, 2), x, torch.ones(2, dtype=torch.bool))
    assert loss.item() == pytest.approx(-stats.norm(2, 0.5).logpdf([2.5, 1.0]).mean(), rel=1e-6)


def test_forward_draws_nothing_and_repeats() -> None:
    about = bundle_toys.manifest(sizes={"components": 3, "hidden": 16, "layers": 2})
    torch.manual_seed(1)
    net = architecture(about).eval()
    given = torch.randn(64, 2), torch.randn(64, 3), torch.rand(64)
    before = torch.get_rng_state()
    one, other = net(*given), net(*given)
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])
    assert torch.equal(torch.get_rng_state(), before)


def test_gradients_reach_all_weights() -> None:
    net = architecture(bundle_toys.manifest(sizes={"components": 2, "hidden": 8, "layers": 2}))
    net.loss(torch.randn(30, 2), torch.randn(30, 3), torch.arange(30) % 3 > 0).backward()
    assert all(weights.grad is not None and weights.grad.abs().sum() > 0 for weights in net.parameters())


def test_efficiency_before_what_is_below_a_border_is_left_out() -> None:
    """Efficiency over P(x_1 >= border), with the marginal of a mixture as scipy has it."""
    border = np.array([-3.0, -0.5, 0.4, 1.2])
    with torch.inference_mode():
        _, efficiency = known()(
            torch.randn(4, 2), torch.zeros(4, 3), torch.zeros(4), torch.tensor(border, dtype=torch.float32), bounded=1
        )
    widths = np.sqrt((roots()[:, 1] ** 2).sum(-1))
    above = sum(w * stats.norm(MEAN[k, 1], widths[k]).sf(border) for k, w in enumerate((0.3, 0.7)))
    np.testing.assert_allclose(efficiency, 1 / (1 + math.exp(-LOGIT)) / above, rtol=2e-5)
