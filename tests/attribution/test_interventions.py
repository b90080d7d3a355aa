import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from conceptome.attribution import attribute, effects
from conceptome.attribution.edit_effects import open_probe
from conceptome.core import DictionaryMismatchError, InputError
from conceptome.dictionaries import TopKDictionary


def respond(world, cell, concept):
    """Activation and pre-activation, in plain numpy."""
    columns = [world.adata.var_names.get_loc(gene) for gene in world.encoder.genes]
    weights = world.dictionary.weights
    z = world.encoder.weights @ cell[columns] + world.encoder.bias
    pre = weights.w_enc @ (z - weights.mean - weights.b_dec) + weights.b_enc
    active = concept in np.argsort(-pre, kind="stable")[: world.dictionary.k]
    return np.array([max(pre[concept], 0) if active else 0.0, pre[concept]])


def measured(world, intervention, concept, **options):
    return effects(
        world.adata,
        world.encoder,
        world.dictionary,
        world.pairs,
        concept=concept,
        intervention=intervention,
        **options,
    )


def pairs_of(world, concept):
    rows = world.pairs.concept == concept
    return zip(
        world.adata.X[world.pairs.factual[rows]], world.adata.X[world.pairs.counterfactual[rows]], strict=True
    )


def test_insert_gives_the_counterfactual_the_gene(world):
    gained = 0
    for concept in np.unique(world.pairs.concept).tolist():
        found = measured(world, "insert", concept)
        for row, (x, other) in enumerate(pairs_of(world, concept)):
            np.testing.assert_allclose(found.activation[row], respond(world, x, concept)[0], atol=1e-9)
            for gene in np.flatnonzero(found.differs[row]):
                edited = other.copy()
                edited[gene] = x[gene]
                act, pre = respond(world, edited, concept) - respond(world, other, concept)
                np.testing.assert_allclose(
                    [found.act[row, gene], found.pre[row, gene]], [act, pre], atol=1e-9
                )
                gained += act > 0
    assert gained > 0, "some gene must switch a concept on"


def test_mean_takes_the_average_of_inactive_cells(world):
    concept = int(world.pairs.concept[0])
    found = measured(world, "mean", concept)
    given = measured(world, "mean", concept, activations=world.activations)
    np.testing.assert_allclose(found.pre, given.pre, atol=1e-9)
    mean = world.adata.X[world.activations.of(concept) == 0].mean(axis=0)
    factual = np.unique(world.pairs.factual[world.pairs.concept == concept])
    assert len(found.factual) == len(factual)
    for row, cell in enumerate(world.pairs.factual[world.pairs.concept == concept]):
        x = world.adata.X[cell]
        for gene in np.flatnonzero(found.differs[row]):
            edited = x.copy()
            edited[gene] = mean[gene]
            lost = respond(world, x, concept) - respond(world, edited, concept)
            np.testing.assert_allclose([found.act[row, gene], found.pre[row, gene]], lost, atol=1e-9)


def active_pairs(cells, dictionary, activation, pairs_of, *, lender=None):
    """Pairs of each concept's active cells, all with one counterfactual."""
    for concept in range(activation.shape[1]):
        active = np.flatnonzero(activation[:, concept] > 0)
        if len(active):
            other = active if lender is None else np.full(len(active), lender)
            values = activation[active, concept]
            pairs = pairs_of(concept, active, other, activation=values, cells=cells, dictionary=dictionary)
            yield concept, active, pairs


def test_mean_equals_the_golden_values(golden, pairs_of):
    encoder, dictionary, cells, data = golden("general")
    n_concepts = 0
    for concept, active, pairs in active_pairs(cells, dictionary, data["f"], pairs_of):
        probe = open_probe(cells, encoder, dictionary, pairs, intervention="mean")
        probe.planner.means[concept] = data["baseline_mean"]
        (found,) = probe.effects([pairs], concept)
        expected = data["mean_delta_recomputed"][active][:, :, concept]
        np.testing.assert_allclose(found.act, expected, atol=1e-9, rtol=0)
        n_concepts += 1
    assert n_concepts >= 4


def test_sets_equal_the_golden_values(golden, pairs_of):
    encoder, dictionary, cells, data = golden("general")
    lender = np.zeros((1, cells.n_vars))  # substitution by its zeros is a knock-out
    names = [*cells.obs_names, "zeros"]
    cells = AnnData(np.concatenate([cells.X, lender]), pd.DataFrame(index=names), cells.var)
    sets = {str(s): [f"gene{g}" for g in members if g >= 0] for s, members in enumerate(data["set_members"])}
    n_cells = 0
    for concept, active, pairs in active_pairs(cells, dictionary, data["f"], pairs_of, lender=len(names) - 1):
        options = {"intervention": "gene_set", "gene_sets": sets}
        found = effects(cells, encoder, dictionary, pairs, concept=concept, **options)
        expected = data["set_ko_delta"][:, active, concept].T
        np.testing.assert_allclose(found.act, expected, atol=1e-9, rtol=0)
        n_cells += len(active)
    assert n_cells >= 10


def test_doubling_equals_the_golden_values(golden, pairs_of):
    """Substitution by a cell whose counts are twice as high."""
    encoder, dictionary, cells, data = golden("general")
    n_cells = cells.n_obs
    names = [*cells.obs_names, *(f"{name} doubled" for name in cells.obs_names)]
    cells = AnnData(np.concatenate([cells.X, 2 * cells.X]), pd.DataFrame(index=names), cells.var)
    for concept in range(data["f"].shape[1]):
        active = np.flatnonzero(data["f"][:, concept] > 0)
        if len(active):
            values = data["f"][active, concept]
            parts = {"activation": values, "cells": cells, "dictionary": dictionary}
            pairs = pairs_of(concept, active, n_cells + active, **parts)
            found = effects(cells, encoder, dictionary, pairs, concept=concept)
            expected = -data["double_delta_recomputed"][active][:, :, concept]
            np.testing.assert_allclose(found.act, expected, atol=1e-9, rtol=0)
    assert np.abs(data["double_delta_recomputed"]).max() > 0.1


def test_a_set_of_one_gene_is_that_gene(world):
    concept = int(world.pairs.concept[0])
    sets = {gene: [gene] for gene in world.adata.var_names}
    by_gene, by_set = (
        measured(world, "substitute", concept),
        measured(world, "gene_set", concept, gene_sets=sets),
    )
    np.testing.assert_allclose(by_set.act, by_gene.act, atol=1e-12)
    np.testing.assert_array_equal(by_set.differs, by_gene.differs)


def test_sets_stand_in_the_place_of_genes(world):
    sets = {"one": ["g1", "g2", "g5"], "unknown": ["g3"], "absent": ["no such gene", "g7"]}
    found = attribute(
        world.adata, world.encoder, world.dictionary, world.pairs, intervention="gene_set", gene_sets=sets
    )
    assert list(found.genes) == list(sets)
    attributable = found.n_pairs > 0
    assert np.isnan(found.attribution[:, 1]).all(), "the encoder reads no gene of the second set"
    assert np.isfinite(found.attribution[attributable][:, [0, 2]]).all()
    assert np.isfinite(found.floor[attributable]).any()


def test_masking_calls_no_drivers(world):
    for intervention in ("mask", "mean"):
        found = attribute(
            world.adata, world.encoder, world.dictionary, world.pairs, intervention=intervention
        )
        assert np.isnan(found.floor).all()
        assert not found.drives.any()


def test_sets_need_the_intervention(world):
    with pytest.raises(InputError, match="gene_sets go with intervention='gene_set', not with 'substitute'"):
        measured(world, "substitute", int(world.pairs.concept[0]), gene_sets={"a": ["g1"]})
    parts = (world.adata, world.encoder, world.dictionary, world.pairs)
    with pytest.raises(
        InputError, match=r"gene_sets go with .*, not with 'gradient'\. Leave one of them out"
    ):
        attribute(*parts, intervention="gradient", gene_sets={"a": ["g1"]})
    with pytest.raises(InputError, match="gene_sets is empty"):
        measured(world, "gene_set", int(world.pairs.concept[0]))
    with pytest.raises(InputError, match=r"No gene of the 1 sets \(x \.\.\.\) is in adata\.var_names"):
        measured(world, "gene_set", int(world.pairs.concept[0]), gene_sets={"a": ["x"]})


def test_activations_of_another_dictionary(world):
    other = TopKDictionary(world.dictionary.weights, 3, encoder_id=world.encoder.encoder_id)
    activations = other.encode(world.encoder.embed(world.adata))
    with pytest.raises(DictionaryMismatchError, match="Encode the cells with this one"):
        measured(world, "mean", int(world.pairs.concept[0]), activations=activations)
