"""cm.tl and cm.get on real cells."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import conceptome as cm
from conceptome.core import DictionaryMismatchError, InputError

SETS = {
    "B cell": ["CD79A", "CD79B", "MS4A1", "CD74", "HLA-DRA", "CD37"],
    "Cytotoxic": ["GNLY", "NKG7", "GZMB", "PRF1", "CST7", "GZMA"],
}


@pytest.fixture(scope="module")
def models():
    adata = cm.data.demo()
    encoder = cm.encoders.fit("linear", adata, seed=0)
    options = cm.dictionaries.TopK(n_concepts=24, k=4)
    return encoder, cm.dictionaries.train(encoder.embed(adata), options, seed=0, progress=False)


@pytest.fixture(scope="module")
def annotated(models):
    encoder, dictionary = models
    adata = cm.data.demo()
    cm.tl.embed(adata, encoder)
    cm.tl.activate(adata, dictionary)
    cm.tl.attribute(adata, encoder, dictionary=dictionary, n_pairs=16)
    cm.tl.enrich(adata, SETS, min_size=3, n_permutations=200)
    return adata


def test_it_writes_its_keys_and_touches_nothing_else(annotated):
    fresh = cm.data.demo()
    np.testing.assert_array_equal(annotated.X.toarray(), fresh.X.toarray())
    assert set(annotated.obsm) - set(fresh.obsm) == {"X_linear", "concepts"}
    assert set(annotated.obs) - set(fresh.obs) == {"concept_dictionary"}
    assert set(annotated.varm) - set(fresh.varm) == {"concept_attribution", "concept_attribution_se"}
    assert set(annotated.uns) - set(fresh.uns) == {"conceptome"}
    assert list(annotated.var) == list(fresh.var)


def test_it_survives_a_file(annotated, tmp_path):
    annotated.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(cm.get.concepts(again).X.toarray(), cm.get.concepts(annotated).X.toarray())
    pd.testing.assert_frame_equal(cm.get.attributions(again), cm.get.attributions(annotated))
    assert cm.get.enrichment(again)["nes"].tolist() == cm.get.enrichment(annotated)["nes"].tolist()
    assert cm.get.drivers(again)["gene"].tolist() == cm.get.drivers(annotated)["gene"].tolist()


def test_concepts_equal_the_dictionary(annotated, models):
    encoder, dictionary = models
    expected = dictionary.encode(encoder.embed(cm.data.demo()))
    view = cm.get.concepts(annotated)
    np.testing.assert_array_equal(view.X.toarray(), expected.values.toarray())
    np.testing.assert_allclose(view.var["frequency"], expected.frequency())
    assert list(view.var_names[:2]) == ["concept_0", "concept_1"]


def test_drivers_are_sorted_and_significant(annotated):
    drivers = cm.get.drivers(annotated)
    assert len(drivers) > 0
    assert (drivers["q"] <= 0.05).all()
    for _, group in drivers.groupby("concept"):
        assert group["attribution"].is_monotonic_decreasing


def test_a_mixture_of_dictionaries_is_refused(annotated, models):
    encoder, _ = models
    other = cm.data.demo()
    cm.tl.embed(other, encoder)
    options = cm.dictionaries.TopK(n_concepts=24, k=4, max_epochs=2)
    cm.tl.activate(other, cm.dictionaries.train(encoder.embed(other), options, seed=1, progress=False))
    joined = ad.concat([annotated, other], index_unique="-")
    with pytest.raises(DictionaryMismatchError, match=r"^Cells of 2 dictionaries were put together "):
        cm.get.concepts(joined)
    same = ad.concat([annotated, annotated], index_unique="-")
    assert cm.get.concepts(same).n_obs == 1400


def test_a_dictionary_of_another_encoder_is_refused(models):
    _, dictionary = models
    adata = cm.data.demo()[:300].copy()
    cm.tl.embed(adata, cm.encoders.fit("linear", adata, seed=0))
    with pytest.raises(
        DictionaryMismatchError, match=r"Re-run cm\.tl\.embed with the encoder it was trained on\.$"
    ):
        cm.tl.activate(adata, dictionary)


@pytest.mark.parametrize(
    ("call", "command"),
    [
        (lambda a, d: cm.tl.activate(a, d), "Run cm.tl.embed(adata, encoder)."),
        (lambda a, d: cm.get.concepts(a), "Run cm.tl.embed, then cm.tl.activate(adata, dictionary)."),
        (lambda a, d: cm.get.attributions(a), "Run cm.tl.attribute(adata, encoder, dictionary=dictionary)."),
        (lambda a, d: cm.get.drivers(a), "Run cm.tl.attribute(adata, encoder, dictionary=dictionary)."),
        (lambda a, d: cm.get.enrichment(a), "Run cm.tl.enrich(adata, gene_sets)."),
    ],
)
def test_what_was_not_run_is_named(call, command, models):
    with pytest.raises(InputError) as error:
        call(cm.data.demo(), models[1])
    assert str(error.value).endswith(command)
