"""Sparse steps are the dense ones, with less work."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from conceptome.dictionaries import Matryoshka, TopK, sparse_steps, train
from conceptome.dictionaries.autoencoder import Autoencoder
from conceptome.dictionaries.optimisation import Training
from conceptome.dictionaries.options import Recipe
from conceptome.dictionaries.rounds import Rounds
from conceptome.dictionaries.rules import TopKRule
from conceptome.dictionaries.scaling import Scaling
from conceptome.dictionaries.sources import Source
from conceptome.dictionaries.sparse_steps import SparseSteps
from conceptome.dictionaries.steps import AutogradSteps

N_CONCEPTS, D_EMBED, K = 40, 8, 3
VARIANCE = 7.5


def beginning(sparse, **settings):
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(N_CONCEPTS, D_EMBED, generator=generator, dtype=torch.float32)
    model = Autoencoder(start, torch.randn(D_EMBED, generator=generator), TopKRule(K))
    optimiser = torch.optim.Adam(model.parameters(), lr=1.0)
    options = TopK(N_CONCEPTS, K, k_aux=4, **settings).resolve(d_embed=D_EMBED, n_train=1000)
    if sparse:
        recipe = Recipe.of(options)
        return model, optimiser, SparseSteps(model, optimiser, recipe, k=K, variance=VARIANCE)
    return model, optimiser, AutogradSteps(model, optimiser, options, variance=VARIANCE)


def learned(sparse, *, n_steps, dead=None, **settings):
    model, optimiser, steps = beginning(sparse, **settings)
    batches = torch.randn(n_steps, 300, D_EMBED, generator=torch.Generator().manual_seed(1))
    with steps if sparse else nullcontext():
        fired = [steps.take(x, lr=0.01, dead=dead) for x in batches]
        measured = steps.measure(model, batches[0])
    moments = [
        optimiser.state[each][name] for each in model.parameters() for name in ("exp_avg", "exp_avg_sq")
    ]
    return model.state_dict(), moments, fired, measured


@pytest.mark.parametrize("n_dead", [0, 3, 6, N_CONCEPTS])
@pytest.mark.parametrize("n_steps", [1, 12])
def test_steps_are_the_same(n_dead, n_steps):
    dead = torch.arange(N_CONCEPTS) < n_dead if n_dead else None
    expected, moments, fired, measured = learned(False, n_steps=n_steps, dead=dead)
    found, found_moments, found_fired, found_measured = learned(True, n_steps=n_steps, dead=dead)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=2e-5, msg=name)
    for one, other in zip(found_moments, moments, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)
    assert all(torch.equal(one, other) for one, other in zip(found_fired, fired, strict=True))
    assert found_measured.squared_error == pytest.approx(measured.squared_error, rel=1e-4)
    assert found_measured.n_active == measured.n_active


def test_the_number_of_threads_changes_nothing(monkeypatch):
    monkeypatch.setattr(sparse_steps, "SHARED_FROM", 0)
    monkeypatch.setattr(sparse_steps, "BLOCK_CELLS", 64)
    monkeypatch.setattr(sparse_steps, "BLOCK_CONCEPTS", 16)
    dead = torch.arange(N_CONCEPTS) < 5
    before = torch.get_num_threads()
    results = []
    try:
        for n_threads in (1, 3):
            torch.set_num_threads(n_threads)
            results.append(learned(True, n_steps=5, dead=dead)[0])
            assert torch.get_num_threads() == n_threads
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


def test_products_in_bfloat16_change_no_selection():
    exact, *_ = learned(True, n_steps=1)
    rounded, *_ = learned(True, n_steps=1, precision="bfloat16")
    for name, tensor in exact.items():
        torch.testing.assert_close(rounded[name], tensor, rtol=0, atol=1e-6, msg=name)


def test_screening_changes_no_selection(monkeypatch):
    monkeypatch.setattr(sparse_steps, "SHARED_FROM", 0)
    results = []
    for rounds in (False, True):
        monkeypatch.setattr(sparse_steps, "has_bfloat16", lambda rounds=rounds: rounds)
        results.append(learned(True, n_steps=8))
    (exact, _, fired, _), (screened, _, fired_too, _) = results
    for name, tensor in exact.items():
        torch.testing.assert_close(screened[name], tensor, rtol=0, atol=2e-6, msg=name)
    assert all(torch.equal(one, other) for one, other in zip(fired, fired_too, strict=True))


def test_which_families_take_sparse_steps(planted):
    cells = planted[0][:300]
    scaling = Scaling(cells.mean(axis=0), 1.0)
    everything = np.ones(300, dtype=bool)
    kinds = {}
    for family in (TopK(16), Matryoshka(16, activation="topk")):
        with Rounds(Source.of(cells), everything, scaling, seed=0, device="cpu") as rounds:
            options = family.resolve(d_embed=8, n_train=300)
            training = Training(rounds, options, torch.Generator().manual_seed(0))
        kinds[type(family).__name__] = type(training.steps)
    assert kinds == {"TopK": SparseSteps, "Matryoshka": AutogradSteps}


@pytest.mark.parametrize("family", [TopK, Matryoshka])
def test_products_in_bfloat16_learn_as_well(planted, family):
    options = [family(24, 2, max_epochs=20, precision=precision) for precision in ("float32", "bfloat16")]
    trained = [train(planted[0], each, progress=False) for each in options]
    r2 = [dictionary.training["fidelity"]["r2_heldout"] for dictionary in trained]
    assert r2[1] > r2[0] - 0.03
