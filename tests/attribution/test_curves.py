import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import conceptome as cm
from conceptome.core import InputError

CURVES = ("deletion", "insertion")


@pytest.fixture(scope="module")
def scores(world):
    """Attributions of four concepts in the same pairs, the same upside down, and one with ties and NaN."""
    record = cm.attribution.attribute(
        world.adata, world.encoder, world.dictionary, world.pairs, n_bootstrap=10
    )
    frame = record.scores("attribution").dropna(how="all").iloc[:4]
    coarse = np.sign(frame.where(frame.abs() > 0.02, 0.0))
    coarse.iloc[:, ::5] = np.nan
    return {"substitution": frame, "reversed": -frame, "coarse": coarse}


def measure(world, scores, **options):
    return cm.attribution.faithfulness(
        world.adata, world.encoder, world.dictionary, world.pairs, scores, **options
    )


def plain_curve(world, concept, pair, order, *, direction):
    """Substitute gene after gene in a plain loop; the bare linear encoder is W x + b."""
    matrix = np.asarray(world.adata.X)
    ends = [matrix[world.pairs.factual[pair]], matrix[world.pairs.counterfactual[pair]]]
    edited, lender = ends if direction == "deletion" else ends[::-1]
    columns = world.adata.var_names.get_indexer(world.encoder.genes)

    def activation(cell):
        z = world.encoder.weights @ cell[columns] + world.encoder.bias
        return world.dictionary.activate(world.dictionary.preactivations(z[None]))[0, concept]

    edited, curve = edited.copy(), []
    curve.append(activation(edited))
    for gene in order:
        edited[gene] = lender[gene]
        curve.append(activation(edited))
    return np.array(curve) / activation(ends[0])


def test_curves_and_areas_equal_a_plain_loop(world, scores):
    n_genes = 12
    concepts = scores["coarse"].index[:2].tolist()
    record = measure(
        world, {"substitution": scores["substitution"]}, n_genes=n_genes, n_random=0, concepts=concepts
    )
    matrix, known = np.asarray(world.adata.X), world.encoder.known(world.adata)
    for row, concept in enumerate(record.concepts.tolist()):
        values = np.nan_to_num(scores["substitution"].loc[concept].to_numpy())
        table = record.factuals[record.factuals["concept"] == concept].set_index("pair")
        for direction in CURVES:
            padded = []
            for pair in np.flatnonzero(world.pairs.concept == concept):
                one, other = (
                    matrix[cells[pair]] for cells in (world.pairs.factual, world.pairs.counterfactual)
                )
                differing = np.flatnonzero((one != other) & known)
                order = differing[np.argsort(-values[differing], kind="stable")][:n_genes]
                assert len(np.unique(values[order])) == len(order)
                curve = plain_curve(world, concept, pair, order, direction=direction)
                own = table.loc[world.pairs.pair[pair]]
                assert own[direction] == pytest.approx(np.clip(curve[1:], 0, 1).mean(), abs=1e-9)
                assert own[f"{direction}_unclipped"] == pytest.approx(curve[1:].mean(), abs=1e-9)
                assert own["n_differing"] == len(differing)
                padded.append(np.pad(curve, (0, n_genes + 1 - len(curve)), mode="edge"))
            np.testing.assert_allclose(getattr(record, direction)[0, row], np.mean(padded, axis=0), atol=1e-9)


def test_good_scores_are_more_faithful_than_chance_and_chance_than_bad_ones(world, scores):
    table = measure(world, scores, n_genes=10).summary().set_index("method")
    assert list(table.index) == [*scores, "random"]
    assert (table["n_concepts"] == len(scores["coarse"])).all()
    deletion, insertion = table["deletion"], table["insertion"]
    assert deletion["substitution"] < deletion["random"] < deletion["reversed"]
    assert insertion["substitution"] > insertion["random"] > insertion["reversed"]


def test_neither_columns_nor_batches_change_a_number(world, scores):
    record = measure(world, scores, n_genes=10, seed=3)
    order = np.random.default_rng(0).permutation(world.adata.n_vars)
    permuted = replace(world, adata=world.adata[:, order].copy())
    other = measure(
        permuted, {name: frame.iloc[:, order] for name, frame in scores.items()}, n_genes=10, seed=3
    )
    for name in ("deletion", "insertion"):
        np.testing.assert_allclose(getattr(other, name), getattr(record, name), atol=1e-9)
    again = measure(world, scores, n_genes=10, seed=3, batch_size=17)
    pd.testing.assert_frame_equal(again.factuals, record.factuals)
    seeded = measure(world, scores, n_genes=10, seed=4)
    np.testing.assert_array_equal(seeded.deletion[0], record.deletion[0])
    assert (seeded.deletion[-1] != record.deletion[-1]).any()


def test_blocks_of_pairs_change_no_number(world, scores, monkeypatch):
    record = measure(world, scores, n_genes=8, n_random=2)
    monkeypatch.setattr("conceptome.attribution.curves.CHANGES_PER_CALL", 1)
    pd.testing.assert_frame_equal(measure(world, scores, n_genes=8, n_random=2).factuals, record.factuals)


def test_a_coarse_curve_is_exact_where_it_is_evaluated(world, scores, monkeypatch):
    monkeypatch.setattr("conceptome.attribution.orders.EVERY_COUNT_UP_TO", 3)
    full, coarse = (measure(world, scores, n_genes=14, every=every) for every in (1, 4))
    exact = [0, 1, 2, 3, 7, 11]  # those beyond are not the same for factuals in which fewer genes differ
    np.testing.assert_allclose(coarse.deletion[:, :, exact[:4]], full.deletion[:, :, exact[:4]], atol=1e-12)
    difference = (coarse.factuals["deletion"] - full.factuals["deletion"]).abs()
    assert 0 < difference.max() < 0.5
    enough = (full.factuals.groupby("concept")["n_differing"].min() >= 14).to_numpy()
    if enough.any():
        np.testing.assert_allclose(
            coarse.deletion[:, enough][:, :, exact], full.deletion[:, enough][:, :, exact]
        )


def test_several_counterfactuals_are_averaged_per_factual(build_world, counts):
    world = build_world(counts, n_counterfactuals=2, n_pairs=10, min_pairs=4)
    frame = pd.DataFrame(
        np.random.default_rng(0).normal(size=(12, world.adata.n_vars)), columns=world.adata.var_names
    )
    record = measure(world, {"some": frame}, n_genes=6, n_random=0)
    concept = int(record.concepts[0])
    mine = np.flatnonzero(world.pairs.concept == concept)
    table = record.factuals[record.factuals["concept"] == concept]
    assert len(table) == len(np.unique(world.pairs.pair[mine])) < len(mine)
    alone = [
        measure(replace(world, pairs=world.pairs.take(mine[[at]])), {"some": frame}, n_genes=6, n_random=0)
        for at in range(len(mine))
    ]
    expected = pd.concat([one.factuals for one in alone]).groupby("pair")[["deletion", "insertion"]].mean()
    np.testing.assert_allclose(table.set_index("pair")[["deletion", "insertion"]], expected, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {}, "scores is empty. Give at least one method, such as {'substitution': "),
        (
            lambda s: {"few": s["coarse"].iloc[:, :5]},
            "scores['few'] has 5 columns that are not the 24 genes of adata in their order. Give concepts x "
            "genes with adata.var_names as columns.",
        ),
        (
            lambda s: {"none": s["coarse"] * np.nan},
            "No concept has both pairs and scores of every method. Score the concepts of pairs.",
        ),
    ],
)
def test_scores_that_do_not_fit_are_refused(world, scores, change, message):
    with pytest.raises(InputError, match=re.escape(message)):
        measure(world, change(scores))


def test_scores_may_bring_a_random_order_of_their_own(world, scores):
    own = {"random": scores["coarse"], "coarse": scores["coarse"]}
    areas = measure(world, own, n_genes=3).factuals.pivot(
        index=["concept", "pair"], columns="method", values="deletion"
    )
    np.testing.assert_array_equal(areas["random"], areas["coarse"])
    message = "scores has a method 'random', the name of the random orders. Rename it, or pass n_random=0."
    with pytest.raises(InputError, match=re.escape(message)):
        measure(world, own, n_random=2)


def test_concepts_without_scores_or_pairs_are_named(world, scores, caplog):
    first = int(scores["coarse"].index[0])
    fewer = {"all": scores["substitution"], "fewer": scores["coarse"].drop(index=first)}
    with pytest.raises(
        InputError, match=rf"^scores\['fewer'\] has no scores for concept {first}\. Leave the"
    ):
        measure(world, fewer, concepts=[first])
    with pytest.raises(
        InputError, match=r"^Concept 99 has no pairs: it was not paired\. Ask for one of those"
    ):
        measure(world, fewer, concepts=[99])
    record = measure(world, fewer, n_genes=2, n_random=1)
    assert first not in record.concepts
    n = len(np.unique(world.pairs.concept))
    left_out = f"{n - 3} of {n} concepts with pairs lack scores in one of the methods and are left out"
    assert left_out in caplog.text


def test_cells_in_which_the_concept_is_silent_are_refused(world, scores):
    concept = int(scores["coarse"].index[0])
    silent = world.adata.copy()
    silent.X = np.tile(
        silent.X[world.pairs.counterfactual[world.pairs.concept == concept][:1]], (silent.n_obs, 1)
    )
    with pytest.raises(
        InputError, match=rf"^Concept {concept} is active in none of its \d+ factuals: adata or"
    ):
        measure(replace(world, adata=silent), scores, concepts=[concept])
