"""What is trained, beside the formulas of the papers written out in numpy."""

import numpy as np
import pytest
import torch

from conceptome.dictionaries import BatchTopK, JumpReLU, Matryoshka, ReluL1, TopK
from conceptome.dictionaries.autoencoder import Autoencoder, Rule
from conceptome.dictionaries.rules import BatchTopKRule, JumpReluRule, TopKRule

N_CELLS, N_CONCEPTS, D_EMBED, K = 12, 9, 4, 2


@pytest.fixture
def pre():
    return torch.from_numpy(np.random.default_rng(0).normal(size=(N_CELLS, N_CONCEPTS)).astype(np.float32))


@pytest.fixture
def cells():
    return torch.from_numpy(np.random.default_rng(1).normal(size=(N_CELLS, D_EMBED)).astype(np.float32))


def autoencoder(rule):
    rng = np.random.default_rng(2)
    directions = torch.from_numpy(rng.normal(size=(N_CONCEPTS, D_EMBED)).astype(np.float32))
    return Autoencoder(directions, torch.from_numpy(rng.normal(size=D_EMBED).astype(np.float32)), rule)


def kept_of_batch(pre, k):
    """The k largest positive numbers per row, of all rows together."""
    flat = sorted(pre.ravel(), reverse=True)[: k * len(pre)]
    return np.where((pre >= flat[-1]) & (pre > 0), pre, 0)


def test_topk_keeps_the_largest_of_each_cell(pre):
    found = TopKRule(K)(pre).numpy()
    for row, kept in zip(pre.numpy(), found, strict=True):
        largest = sorted(row, reverse=True)[:K]
        np.testing.assert_array_equal(kept, [p if p in largest and p > 0 else 0 for p in row])


def test_batch_topk_keeps_the_largest_of_the_batch(pre):
    found = BatchTopKRule(K)(pre).numpy()
    np.testing.assert_array_equal(found, kept_of_batch(pre.numpy(), K))
    assert np.count_nonzero(found) == K * N_CELLS
    assert len(set(np.count_nonzero(found, axis=1))) > 1


def test_the_threshold_is_the_mean_of_the_smallest_kept(pre):
    rule = BatchTopKRule(K)
    batches = [pre[:5], pre[5:], -pre.abs()]  # nothing is positive in the last: it says nothing
    rule.calibrate(batches)
    kept = [kept_of_batch(batch.numpy(), K) for batch in batches[:2]]
    expected = np.average([batch[batch > 0].min() for batch in kept], weights=[5, 7])
    assert float(rule.threshold) == pytest.approx(expected, abs=1e-6)
    found = rule.eval()(pre).numpy()
    np.testing.assert_array_equal(found, np.where(pre > rule.threshold, pre, 0))


def test_jumprelu_has_the_gradients_of_the_paper(pre):
    bandwidth = 0.6
    rule = JumpReluRule(N_CONCEPTS, k=K, bandwidth=bandwidth, shared_epochs=1)
    rule.log_threshold.data = torch.linspace(-1.5, 0.3, N_CONCEPTS)
    weight = np.random.default_rng(3).normal(size=pre.shape).astype(np.float32)
    given = pre.clone().requires_grad_()
    activations = rule(given)
    (torch.from_numpy(weight) * activations).sum().backward()
    threshold, p = rule.log_threshold.detach().exp().numpy(), pre.numpy()
    kernel = np.abs((p - threshold) / bandwidth) < 0.5
    assert 0 < kernel.sum() < kernel.size
    np.testing.assert_array_equal(activations.detach().numpy(), np.where(p > threshold, p, 0))
    np.testing.assert_allclose(given.grad.numpy(), weight * (p > threshold), rtol=1e-6)
    to_threshold = (weight * -(threshold / bandwidth) * kernel).sum(axis=0)
    to_log = to_threshold * threshold
    np.testing.assert_allclose(rule.log_threshold.grad.numpy(), to_log, rtol=1e-5, atol=1e-6)


def test_the_l0_penalty_has_the_gradients_of_the_paper(pre, cells):
    options = JumpReLU(N_CONCEPTS, K, l0_weight=0.7, bandwidth=0.6, shared_epochs=1)
    model = autoencoder(options.rule())
    model.rule.log_threshold.data = torch.linspace(-1.5, 0.3, N_CONCEPTS)
    outcome = model(cells)._replace(pre=pre.clone().requires_grad_())
    penalty = options.penalty(model, cells, outcome)
    penalty.backward()
    threshold, p = model.rule.log_threshold.detach().exp().numpy(), pre.numpy()
    l0 = (p > threshold).sum(axis=1).mean()
    assert float(penalty.detach()) == pytest.approx(0.7 * (l0 / K - 1) ** 2, rel=1e-5)
    kernel = np.abs((p - threshold) / 0.6) < 0.5
    to_threshold = 0.7 * 2 * (l0 / K - 1) / K * -(kernel / 0.6).mean(axis=0)
    np.testing.assert_allclose(model.rule.log_threshold.grad.numpy(), to_threshold * threshold, rtol=1e-4)
    assert outcome.pre.grad is None or not outcome.pre.grad.any()


def test_jumprelu_starts_where_k_concepts_per_cell_pass(pre):
    rule = JumpReluRule(N_CONCEPTS, k=K, bandwidth=0.1, shared_epochs=1)
    rule.prepare([pre])
    smallest = kept_of_batch(pre.numpy(), K)
    started = rule.log_threshold.detach().exp().numpy()
    np.testing.assert_allclose(started, smallest[smallest > 0].min(), rtol=1e-5)


def test_jumprelu_shares_its_threshold_for_some_epochs(pre):
    rule = JumpReluRule(N_CONCEPTS, k=K, bandwidth=0.1, shared_epochs=2)
    thresholds = []
    for factor in (1, 2, 3):
        rule.calibrate([factor * pre])
        thresholds.append(float(rule.log_threshold.detach()[0].exp()))
    smallest = kept_of_batch(pre.numpy(), K)
    expected = smallest[smallest > 0].min()
    assert thresholds == pytest.approx([expected, 2 * expected, 2 * expected], rel=1e-5)


def test_revived_concepts_have_half_the_threshold_of_the_living(pre):
    rule = JumpReluRule(3, k=1, bandwidth=0.1, shared_epochs=1)
    rule.log_threshold.data = torch.tensor([0.8, 2.0, 2.0]).log()
    rule.revive(torch.tensor([True, False, False]))
    np.testing.assert_allclose(rule.log_threshold.detach().exp().numpy(), [1.0, 2.0, 2.0], rtol=1e-6)


def test_the_l1_penalty_is_the_mean_sum_of_activations(cells):
    model = autoencoder(Rule())
    outcome = model(cells)
    expected = 0.3 * np.maximum(outcome.pre.detach().numpy(), 0).sum(axis=1).mean() / np.sqrt(D_EMBED)
    found = ReluL1(N_CONCEPTS, l1_weight=0.3).penalty(model, cells, outcome)
    assert float(found.detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("activation", ["topk", "batch_topk"])
def test_a_matryoshka_adds_the_error_of_every_prefix(cells, activation):
    options = Matryoshka(N_CONCEPTS, K, (2, 5, 9), activation)
    model = autoencoder(options.rule())
    outcome = model(cells)
    x, a = cells.numpy(), outcome.activations.detach().numpy()
    maps = {name: array.numpy() for name, array in model.state_dict().items()}
    error = 0.0
    for width in (2, 5):
        x_hat = a[:, :width] @ maps["directions"][:width] + maps["b_dec"]
        error += ((x - x_hat) ** 2).sum() / (N_CELLS * D_EMBED)
    assert float(options.penalty(model, cells, outcome).detach()) == pytest.approx(error, rel=1e-5)
    assert isinstance(model.rule, TopKRule if activation == "topk" else BatchTopKRule)


@pytest.mark.parametrize("options", [TopK(N_CONCEPTS, K), BatchTopK(N_CONCEPTS, K)])
def test_the_others_add_nothing_to_the_loss(cells, options):
    model = autoencoder(options.rule())
    assert options.penalty(model, cells, model(cells)) == 0.0


def test_the_autoencoder_is_affine_around_its_rule(cells):
    model = autoencoder(TopKRule(K))
    maps = {name: array.numpy() for name, array in model.state_dict().items()}
    outcome = model(cells)
    pre = (cells.numpy() - maps["b_dec"]) @ maps["w_enc"].T + maps["b_enc"]
    np.testing.assert_allclose(outcome.pre.detach().numpy(), pre, atol=1e-6)
    x_hat = outcome.activations.detach().numpy() @ maps["directions"] + maps["b_dec"]
    np.testing.assert_allclose(outcome.x_hat.detach().numpy(), x_hat, atol=1e-6)


def test_thresholds_survive_the_death_of_all_concepts():
    rule = JumpReluRule(3, k=1, bandwidth=0.1, shared_epochs=1)
    rule.log_threshold.data[:] = torch.tensor([0.0, 1.0, 2.0])
    rule.revive(torch.tensor([True, True, True]))
    np.testing.assert_allclose(rule.log_threshold.detach().exp(), np.e / 2, rtol=1e-6)
