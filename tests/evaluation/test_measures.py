import logging

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData

import conceptome as cm
from conceptome.core import DictionaryMismatchError, Embeddings, InputError
from conceptome.dictionaries import NeuronDictionary, PcaDictionary, TopK, TopKDictionary, Weights, train
from conceptome.encoders import PrecomputedEncoder
from conceptome.evaluation import evaluate, label_concepts

BASELINES = {"neurons", "pca", "ica", "nmf", "kmeans", "random_sae"}
METRICS = {
    "r2",
    "r2_dimension_min",
    "r2_dimension_median",
    "l0",
    "dead",
    "inactive_heldout",
    "n_units",
    "neighbours_kept_activations",
    "neighbours_kept_reconstruction",
}
LABEL_METRICS = {
    "best_f1",
    "mean_best_f1",
    "labels_covered",
    "units_matching",
    "probe_macro_f1_activations",
    "probe_macro_f1_reconstruction",
    "knn_accuracy_activations",
    "knn_accuracy_reconstruction",
    "knn_purity_activations",
    "knn_purity_reconstruction",
    "chance_f1",
    "mean_f1_excess",
    "labels_above_chance",
    "factual_purity_top",
    "factual_purity_stratified",
    "absorption",
    "label_absorption",
    "units_per_label",
    "units_of_label",
}


@pytest.fixture(scope="module")
def pbmc():
    """The 700 immune cells that scanpy ships, with their principal components."""
    adata = sc.datasets.pbmc68k_reduced()
    z = np.asarray(adata.obsm["X_pca"][:, :20], dtype=np.float32)
    embeddings = Embeddings(z, pd.Index(adata.obs_names), "pca20", "pca")
    dictionary = train(embeddings, TopK(max_epochs=150), seed=0, progress=False)
    return AnnData(obs=adata.obs.copy()), embeddings, dictionary


@pytest.fixture(scope="module")
def evaluated(pbmc):
    adata, embeddings, dictionary = pbmc
    return evaluate(adata, None, dictionary, label_keys=["bulk_labels"], embeddings=embeddings)


def value(evaluation, dictionary, metric, label=""):
    table = evaluation.measures
    chosen = table[(table.dictionary == dictionary) & (table.metric == metric) & (table.label == label)]
    assert len(chosen) == 1
    return chosen["value"].item()


def test_every_dictionary_has_every_measure(evaluated):
    assert set(evaluated.measures.dictionary) == BASELINES | {"topk", "embedding"}
    for _, rows in evaluated.measures[evaluated.measures.dictionary != "embedding"].groupby("dictionary"):
        assert set(rows.metric) == METRICS | LABEL_METRICS
    assert list(evaluated.measures.columns) == [
        "dictionary", "metric", "label_key", "label", "value", "sd", "low", "high",
    ]  # fmt: skip
    assert list(evaluated.units.columns) == [
        "dictionary", "label_key", "label", "unit", "threshold", "f1_validation", "f1", "f1_chance",
    ]  # fmt: skip
    assert not evaluated.measures.duplicated(["dictionary", "metric", "label_key", "label"]).any()


def test_the_measures_are_plausible_on_real_cells(pbmc, evaluated):
    _, _, dictionary = pbmc
    assert value(evaluated, "topk", "r2") == pytest.approx(
        dictionary.training["fidelity"]["r2_heldout"], abs=1e-5
    )
    assert value(evaluated, "neurons", "r2") == pytest.approx(1, abs=1e-6)
    assert value(evaluated, "neurons", "l0") == 20
    assert value(evaluated, "pca", "l0") == pytest.approx(value(evaluated, "topk", "l0"), abs=0.5)
    assert value(evaluated, "topk", "r2") > value(evaluated, "pca", "r2")
    assert value(evaluated, "ica", "r2") == pytest.approx(value(evaluated, "pca", "r2"), abs=1e-5)
    assert value(evaluated, "topk", "r2") > value(evaluated, "random_sae", "r2") > 0.5
    assert value(evaluated, "kmeans", "l0") == 1
    assert value(evaluated, "random_sae", "n_units") == value(evaluated, "topk", "n_units")
    assert value(evaluated, "topk", "best_f1", "CD19+ B") > 0.85
    embedding = value(evaluated, "embedding", "probe_macro_f1_embedding")
    assert embedding > 0.5
    assert value(evaluated, "topk", "probe_macro_f1_activations") > embedding - 0.15
    assert value(evaluated, "neurons", "probe_macro_f1_reconstruction") == pytest.approx(embedding, abs=1e-3)


def test_a_concept_marks_b_cells(pbmc):
    adata, embeddings, dictionary = pbmc
    labels = label_concepts(dictionary.encode(embeddings), adata.obs["bulk_labels"])
    assert labels.loc[labels["best_label"] == "CD19+ B", "best_label_f1"].max() > 0.8


def test_the_encoder_embeds_where_no_embeddings_are_given(pbmc, evaluated):
    adata, embeddings, dictionary = pbmc
    adata = AnnData(obs=adata.obs, obsm={"X_pca20": embeddings.values})
    encoder = PrecomputedEncoder("X_pca20")
    trained = TopKDictionary(
        dictionary.weights, dictionary.k, scale=dictionary.scale, training=dictionary.training
    )
    again = evaluate(adata, encoder, trained, label_keys=["bulk_labels"])
    pd.testing.assert_frame_equal(again.measures, evaluated.measures)
    with pytest.raises(InputError) as error:
        evaluate(adata, None, trained, label_keys=["bulk_labels"])
    assert str(error.value) == "There is neither an encoder nor embeddings to evaluate. Give one of them."


def test_whole_groups_are_tested_on(pbmc):
    adata, embeddings, _ = pbmc
    donors = np.array([f"d{i % 4}" for i in range(700)])
    grouped = AnnData(obs=adata.obs.assign(donor=donors))
    dictionary = train(embeddings, TopK(max_epochs=3), groups=donors.tolist(), progress=False)
    evaluation = evaluate(
        grouped, None, dictionary, label_keys=["bulk_labels"], embeddings=embeddings, group_key="donor"
    )
    assert value(evaluation, "topk", "r2") == pytest.approx(
        dictionary.training["fidelity"]["r2_heldout"], abs=1e-5
    )
    with pytest.raises(InputError) as error:
        evaluate(grouped, None, dictionary, label_keys=["bulk_labels"], embeddings=embeddings)
    assert str(error.value) == (
        f"Dictionary {dictionary.dictionary_id} held out whole groups (donors). Give group_key."
    )


def test_a_dictionary_without_a_split_gets_one(pbmc):
    adata, embeddings, _ = pbmc
    neurons = NeuronDictionary.fit(embeddings)
    evaluation = evaluate(adata, None, neurons, label_keys=["bulk_labels"], embeddings=embeddings)
    assert set(evaluation.measures.dictionary) == BASELINES | {"embedding"}


@pytest.mark.parametrize("family", [NeuronDictionary, PcaDictionary])
def test_the_dictionary_given_is_measured_and_no_baseline_of_its_kind(pbmc, family):
    adata, embeddings, _ = pbmc
    whole = family.fit(embeddings)
    w = whole.weights
    part = family(Weights(w.w_enc[:6], w.b_enc[:6], w.directions[:6], w.b_dec, w.mean), scale=whole.scale)
    evaluation = evaluate(adata, None, part, label_keys=[], embeddings=embeddings)
    assert value(evaluation, family.kind, "n_units") == 6
    assert set(evaluation.measures.dictionary) == BASELINES


def test_without_labels_fidelity_alone_is_measured(pbmc, evaluated):
    adata, embeddings, dictionary = pbmc
    unlabelled = evaluate(adata, None, dictionary, label_keys=[], embeddings=embeddings)
    assert set(unlabelled.measures.metric) == METRICS
    assert value(unlabelled, "topk", "r2") == value(evaluated, "topk", "r2")
    assert not len(unlabelled.units)
    assert list(unlabelled.units.columns) == list(evaluated.units.columns)


def test_the_order_of_cells_does_not_matter(pbmc, evaluated):
    adata, embeddings, dictionary = pbmc
    order = np.random.default_rng(0).permutation(700)
    shuffled = Embeddings(embeddings.values[order], embeddings.cell_ids[order], "pca20", "pca")
    again = evaluate(adata[order], None, dictionary, label_keys=["bulk_labels"], embeddings=shuffled)
    pd.testing.assert_frame_equal(again.measures, evaluated.measures, check_exact=True)
    pd.testing.assert_frame_equal(again.units, evaluated.units, check_exact=True)


def test_rare_labels_are_named(pbmc, caplog):
    adata, embeddings, dictionary = pbmc
    labels = np.where(np.arange(700) < 4, "rare", adata.obs["bulk_labels"].astype(str))
    with caplog.at_level(logging.WARNING):
        evaluation = evaluate(
            AnnData(obs=adata.obs.assign(label=labels)), None, dictionary,
            label_keys=["label"], embeddings=embeddings,
        )  # fmt: skip
    assert "obs['label']: too few cells to score" in caplog.text
    assert len(caplog.records) == 1
    assert caplog.text.count("rare") == 1
    assert np.isnan(value(evaluation, "topk", "best_f1", "rare"))


def test_refuses_columns_that_are_no_labels(pbmc):
    adata, embeddings, dictionary = pbmc
    with pytest.raises(InputError) as missing:
        evaluate(adata, None, dictionary, label_keys=["celltype"], embeddings=embeddings)
    assert str(missing.value) == f"obs has no column 'celltype'; it has {', '.join(adata.obs.columns)}."
    with pytest.raises(InputError, match=r"has \d+ different values, a label needs 2 to 200"):
        evaluate(adata, None, dictionary, label_keys=["n_counts"], embeddings=embeddings)


def test_refuses_embeddings_of_other_cells(pbmc):
    adata, embeddings, dictionary = pbmc
    with pytest.raises(InputError) as error:
        evaluate(adata[::-1], None, dictionary, label_keys=["bulk_labels"], embeddings=embeddings)
    assert str(error.value) == (
        "The embeddings name other cells (700) than adata (700), or in another order. Embed this adata again."
    )


def test_refuses_embeddings_of_another_encoder(pbmc):
    adata, embeddings, dictionary = pbmc
    foreign = Embeddings(embeddings.values, embeddings.cell_ids, "other", "pca")
    with pytest.raises(DictionaryMismatchError) as error:
        evaluate(adata, None, dictionary, label_keys=[], embeddings=foreign)
    assert str(error.value) == (
        f"The embeddings come from encoder other, dictionary {dictionary.dictionary_id} was trained on "
        "encoder pca20. Embed with that encoder, or train a dictionary on this one."
    )
    nameless = Embeddings(embeddings.values, embeddings.cell_ids, "", "pca")
    assert len(evaluate(adata, None, dictionary, label_keys=[], embeddings=nameless).measures)


def test_refuses_a_text_for_a_list_of_labels_and_a_negative_seed(pbmc):
    adata, embeddings, dictionary = pbmc
    with pytest.raises(InputError) as text:
        evaluate(adata, None, dictionary, label_keys="bulk_labels", embeddings=embeddings)
    assert str(text.value) == (
        "label_keys is a text, expected a list of column names. Write label_keys=['bulk_labels']."
    )
    with pytest.raises(InputError) as seed:
        evaluate(adata, None, dictionary, label_keys=[], embeddings=embeddings, seed=-1)
    assert str(seed.value) == "seed is -1, expected at least 0."


def test_measures_of_understanding_are_plausible_on_real_cells(evaluated):
    assert value(evaluated, "topk", "mean_f1_excess") > 0.2
    assert value(evaluated, "topk", "chance_f1", "CD19+ B") < 0.4
    assert value(evaluated, "kmeans", "factual_purity_top") > value(
        evaluated, "neurons", "factual_purity_top"
    )
    assert value(evaluated, "neurons", "neighbours_kept_reconstruction") > 0.99
    assert value(evaluated, "kmeans", "units_per_label") > value(evaluated, "pca", "units_per_label")
    assert value(evaluated, "embedding", "knn_accuracy_embedding") > 0.5
    assert evaluated.seeds == (0,)
    assert set(evaluated.missing) == {"loss_recovered", "random_encoder", "genes"}


@pytest.fixture(scope="module")
def demo():
    adata = cm.data.demo()
    adata.obs["lane"] = pd.Categorical([f"lane{i % 3}" for i in range(adata.n_obs)])
    encoder = cm.encoders.fit("linear", adata, options=cm.encoders.LinearOptions(n_components=8), seed=0)
    dictionary = train(encoder.embed(adata), TopK(n_concepts=32, k=4, max_epochs=60), seed=0, progress=False)
    evaluation = evaluate(adata, encoder, dictionary, label_keys=["cell_type"], batch_key="lane", n_seeds=2)
    return adata, encoder, dictionary, evaluation


def test_several_seeds_and_a_random_encoder(demo):
    *_, evaluation = demo
    assert evaluation.seeds == (0, 1)
    assert evaluation.missing == {
        "genes": "Genes and gene sets of the dictionaries were not asked for. Give gene_tests=GeneTests()."
    }
    assert evaluation.measures.dictionary.iloc[0] == "topk"
    assert set(evaluation.measures.dictionary) == BASELINES | {"topk", "embedding", "random_encoder"}
    table = evaluation.measures
    rows = table[(table.dictionary == "topk") & (table.metric == "r2")]
    assert rows["sd"].item() == pytest.approx((rows["high"] - rows["low"]).item() / np.sqrt(2))
    assert rows["value"].item() == pytest.approx((rows["high"] + rows["low"]).item() / 2)
    assert value(evaluation, "embedding", "loss_mean") > value(evaluation, "embedding", "loss_embedding")
    assert value(evaluation, "neurons", "loss_recovered") == pytest.approx(1, abs=1e-4)
    assert 0 < value(evaluation, "topk", "loss_recovered") < 1
    assert value(evaluation, "topk", "mean_best_f1") > value(evaluation, "random_encoder", "mean_best_f1")
    for name in (*BASELINES, "topk", "random_encoder"):
        for metric in ("stability_directions", "stability_activations"):
            assert value(evaluation, name, metric) > value(evaluation, name, f"{metric}_chance"), name
    assert value(evaluation, "neurons", "stability_directions") == pytest.approx(1, abs=1e-3)
    assert value(evaluation, "topk", "stability_activations") > value(
        evaluation, "random_sae", "stability_activations"
    )


def test_the_batch_is_told_by_chance_where_it_means_nothing(demo):
    *_, evaluation = demo
    table = evaluation.measures[evaluation.measures.label_key == "lane"]
    told = table[table.metric.str.startswith("probe_macro_f1")]
    assert told["value"].between(0.2, 0.45).all()
    mixed = table[(table.metric == "ilisi_embedding") & (table.dictionary == "embedding")]
    assert mixed["value"].item() > 0.8


def test_the_stability_of_two_seeds_is_that_of_their_matching(demo):
    adata, encoder, dictionary, evaluation = demo
    ordered = encoder.embed(adata[np.argsort(adata.obs_names)])
    second = cm.evaluation.train_like(dictionary, ordered, seed=1, groups=None)
    found = cm.dictionaries.match_concepts(dictionary, second, by="activations", embeddings=ordered)
    assert value(evaluation, "topk", "stability_activations") == pytest.approx(found.similarity.mean())


def test_seeds_that_are_given_are_those_that_are_trained(demo):
    adata, encoder, dictionary, evaluation = demo
    from conceptome.evaluation import train_like

    ordered = encoder.embed(adata[np.argsort(adata.obs_names)])
    second = train_like(dictionary, ordered, seed=1, groups=None)
    again = evaluate(adata, encoder, [dictionary, second], label_keys=["cell_type"], batch_key="lane")
    pd.testing.assert_frame_equal(again.measures, evaluation.measures)


def test_the_phase_is_refused_where_genes_lack(demo):
    adata, encoder, dictionary, _ = demo
    few = adata[:, :60].copy()
    del few.obs["phase"]
    with pytest.raises(InputError, match="The cell-cycle phase cannot be told: "):
        evaluate(few, None, dictionary, label_keys=["phase"], embeddings=encoder.embed(adata))


def test_other_seeds_need_a_recipe(demo):
    adata, encoder, _, _ = demo
    neurons = NeuronDictionary.fit(encoder.embed(adata))
    with pytest.raises(InputError) as caught:
        evaluate(adata, encoder, neurons, label_keys=[], n_seeds=3)
    assert str(caught.value) == (
        f"Dictionary {neurons.dictionary_id} (neurons) names no training options, so that no other seed of "
        "it can be trained. Give dictionaries of several seeds, or n_seeds=1."
    )
