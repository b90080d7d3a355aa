import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

import conceptome as cm
from conceptome.core import InputError


@pytest.fixture(scope="module")
def record(world):
    return cm.attribution.attribute(world.adata, world.encoder, world.dictionary, world.pairs, n_bootstrap=10)


def check(world, record, **options):
    return cm.attribution.sanity_check(
        world.adata, world.encoder, world.dictionary, world.pairs, record, **options
    )


class Remembering:
    """An encoder whose re-initialisation changes nothing: the check must find it out."""

    def __init__(self, encoder):
        self._encoder = encoder

    def __getattr__(self, name):
        return getattr(self._encoder, name)

    def reinitialised(self, *, seed):
        assert seed == 0
        return self._encoder


def test_an_encoder_that_forgets_nothing_is_found_out(world, record):
    table = check(replace(world, encoder=Remembering(world.encoder)), record)
    np.testing.assert_allclose(table["spearman"], 1.0)
    attributable = record.n_pairs > 0
    np.testing.assert_array_equal(table["concept"], record.concepts[attributable])
    differing = (record.n_differing > 0) & np.isfinite(record.effect_pre)
    np.testing.assert_array_equal(table["n_genes"], differing[attributable].sum(axis=1))


def test_the_effects_are_those_of_attributing_again(world, record):
    table = check(world, record, seed=2).set_index("concept")
    blank = world.encoder.reinitialised(seed=2)
    matrix = np.asarray(world.adata.X)
    columns = world.adata.var_names.get_indexer(blank.genes)
    for row, concept in enumerate(record.concepts.tolist()):
        mine = world.pairs.concept == concept
        if not mine.any():
            continue
        difference = matrix[world.pairs.factual[mine]] - matrix[world.pairs.counterfactual[mine]]
        to_concept = np.stack(
            [
                world.dictionary.preactivations(z[None])[0, concept]
                for z in (*blank.weights.T, np.zeros(world.encoder.d_embed))
            ]
        )
        effect = difference.mean(axis=0)[columns] * (to_concept[:-1] - to_concept[-1])
        compared = (difference != 0).any(axis=0)[columns]
        expected = spearmanr(record.effect_pre[row][columns][compared], effect[compared]).statistic
        assert table.loc[concept, "spearman"] == pytest.approx(
            expected, abs=5e-3
        )  # means that are 0 differ in rounding


def test_correlations_scatter_about_zero(world, record):
    found = np.concatenate([check(world, record, seed=seed)["spearman"] for seed in range(8)])
    by_seed = found.reshape(8, -1).mean(axis=1)
    assert abs(by_seed.mean()) < 4 * by_seed.std(ddof=1) / np.sqrt(8)
    assert np.abs(found).mean() < 0.4


def test_what_cannot_be_checked_is_refused(world, record):
    class Fixed:
        name = "fixed"

        def __getattr__(self, name):
            if name == "reinitialised":
                raise AttributeError(name)
            return getattr(world.encoder, name)

    message = "Encoder 'fixed' has no method reinitialised(seed=...). The check needs it."
    with pytest.raises(InputError, match=re.escape(message)):
        check(replace(world, encoder=Fixed()), record)
    masked = replace(record, intervention="mask")
    with pytest.raises(InputError, match=r"^The attributions are by 'mask'\. Check those of 'substitute'\.$"):
        check(world, masked)
