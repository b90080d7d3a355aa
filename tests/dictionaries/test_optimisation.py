"""What happens to a concept that has stopped firing."""

import numpy as np
import pytest
import torch

from conceptome.dictionaries import BatchTopK, JumpReLU, Matryoshka, ReluL1, TopK
from conceptome.dictionaries.optimisation import Training
from conceptome.dictionaries.rounds import Rounds
from conceptome.dictionaries.scaling import Scaling
from conceptome.dictionaries.sources import Source

DEAD = 3
FAMILIES = [TopK, BatchTopK, JumpReLU, Matryoshka, ReluL1]


def begin(planted, family, **settings):
    cells = planted[0][:300]
    options = family(16, dead_after=100, **settings).resolve(d_embed=8, n_train=300)
    scaling = Scaling(cells.mean(axis=0), 1.0)
    rounds = Rounds(Source.of(cells), np.ones(300, dtype=bool), scaling, seed=0, device="cpu")
    return Training(rounds, options, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_dead_concept_is_pointed_at_badly_reconstructed_cells(planted, family, ema):
    run = begin(planted, family, aux_weight=0.0, ema=ema)
    if family is JumpReLU:  # thresholds of their own
        run.model.rule.shared_left.zero_()
    run.model.b_enc.data[DEAD] = -1000
    before = run.model.directions.data[DEAD].clone()
    run.round()
    direction, encoder = run.model.directions.data[DEAD], run.model.w_enc.data[DEAD]
    assert float(direction @ before) < 0.999
    assert run.model.b_enc[DEAD] == 0
    assert run.silent[DEAD] == 0
    np.testing.assert_allclose(encoder / encoder.norm(), direction, atol=1e-6)
    np.testing.assert_array_equal(run.average.w_enc.data[DEAD], encoder)
    assert not run.optimiser.state[run.model.w_enc]["exp_avg"][DEAD].any()
    assert run.optimiser.state[run.model.w_enc]["exp_avg"].any()
    if family is JumpReLU:
        threshold = run.model.rule.log_threshold.data.exp()
        living = np.delete(threshold.numpy(), DEAD)
        assert float(threshold[DEAD]) == pytest.approx(np.sort(living)[7] / 2, rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_it_stays_dead_without_resampling(planted, family):
    run = begin(planted, family, aux_weight=0.0, resample=False)
    run.model.b_enc.data[DEAD] = -1000
    run.round()
    assert run.model.b_enc[DEAD] == -1000
    assert run.silent[DEAD] == 300


@pytest.mark.parametrize("aux_weight", [0.0, 0.5])
def test_auxk_teaches_concepts_that_others_outdo(planted, aux_weight):
    run = begin(planted, TopK, k=2, aux_weight=aux_weight, resample=False)
    run.model.w_enc.data[DEAD] *= 1e-3
    before = run.model.w_enc.data[DEAD].clone()
    run.round()
    assert run.silent[DEAD] == 300
    assert torch.equal(run.model.w_enc.data[DEAD], before) == (aux_weight == 0)


@pytest.mark.parametrize("aux_weight", [0.0, 0.5])
def test_auxk_teaches_concepts_below_their_threshold(planted, aux_weight):
    run = begin(planted, JumpReLU, aux_weight=aux_weight, resample=False)
    run.model.rule.log_threshold.data[DEAD] = 5.0
    before = run.model.w_enc.data[DEAD].clone()
    run.round()
    assert run.silent[DEAD] == 300
    assert torch.equal(run.model.w_enc.data[DEAD], before) == (aux_weight == 0)


def test_concepts_start_as_cells_or_as_principal_axes(planted):
    from sklearn.decomposition import PCA

    cells = planted[0][:300] - planted[0][:300].mean(axis=0)
    started = begin(planted, TopK, axes=0.5).model.directions.detach().numpy()
    axes = PCA(4).fit(cells).components_
    np.testing.assert_allclose(np.abs(np.diag(started[:8:2] @ axes.T)), 1, atol=1e-5)
    np.testing.assert_allclose(started[1:8:2], -started[:8:2], atol=1e-6)
    unit = cells / np.linalg.norm(cells, axis=1, keepdims=True)
    assert np.median((started[8:] @ unit.T).max(axis=1)) > 0.99
    assert np.median((begin(planted, TopK).model.directions.detach().numpy() @ unit.T).max(axis=1)) > 0.99
