from dataclasses import replace
from inspect import unwrap

import jaxtyping
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linear_sum_assignment

from conceptome.core import Dictionary, Embeddings, InputError
from conceptome.dictionaries import HeldoutSplit, PcaDictionary, ReluL1, TopK, explained_variance, train


@pytest.fixture(scope="module")
def trained(planted):
    return train(planted[0], TopK(n_concepts=24, k=2, max_epochs=150), seed=0, progress=False)


def test_recovers_planted_directions(planted, trained):
    _, directions, _ = planted
    random = np.random.default_rng(9).normal(size=trained.directions.shape)
    random /= np.linalg.norm(random, axis=1, keepdims=True)

    def median_match(found):
        cosine = directions @ found.T
        return np.median(cosine[linear_sum_assignment(-cosine)])

    assert median_match(trained.directions) > 0.9
    assert median_match(random) < 0.8


def test_heldout_fidelity_is_what_it_says(planted, trained):
    z = planted[0]
    names = [str(row) for row in range(len(z))]
    heldout = HeldoutSplit(**trained.training["split"]).mask(names)
    r2, _ = explained_variance(
        z[heldout], trained.decode(trained.encode(z[heldout])), mean=z[~heldout].mean(axis=0)
    )
    fidelity = trained.training["fidelity"]
    assert fidelity["r2_heldout"] == pytest.approx(r2, abs=1e-6)
    assert r2 > 0.85
    assert fidelity["l0"] <= 2
    assert fidelity["dead"] < 0.2
    assert heldout.sum() == trained.training["n_cells"]["heldout"] == 80


def test_keeps_more_than_pca_with_as_many_active_units(planted, trained):
    z = planted[0]
    pca = PcaDictionary.fit(z, n_components=2)
    r2, _ = explained_variance(z, pca.decode(pca.encode(z)), mean=z.mean(axis=0))
    assert trained.training["fidelity"]["r2_heldout"] > r2 + 0.3


def test_the_kept_epoch_is_the_best_on_validation_cells(trained):
    fvu = [epoch["fvu"] for epoch in trained.training["progress"]]
    assert fvu[-1] < 0.5 * fvu[0]
    assert trained.training["fidelity"]["r2_heldout"] == pytest.approx(1 - min(fvu), abs=0.05)


def test_directions_have_unit_length(trained):
    np.testing.assert_allclose(np.linalg.norm(trained.directions, axis=1), 1, atol=1e-5)
    assert isinstance(trained, Dictionary)


def test_one_seed_gives_bit_identical_weights(planted):
    z = planted[0][:300]
    options = TopK(n_concepts=16, k=2, max_epochs=20)
    one, again, other = (train(z, options, seed=seed, progress=False) for seed in (3, 3, 4))
    assert one.dictionary_id == again.dictionary_id
    assert one.training == again.training
    assert one.dictionary_id != other.dictionary_id


def test_dead_concepts_are_revived():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(400, 6))
    z[:20] *= 15  # a few outliers attract the concepts that start at them
    dictionary = train(z, TopK(n_concepts=30, k=3, max_epochs=150), progress=False)
    assert dictionary.training["fidelity"]["dead"] <= 0.1


def test_the_average_of_the_weights_is_kept(planted):
    """At a high learning rate weights jump about, until it falls; their average does not."""
    options = TopK(24, 2, max_epochs=30, lr=0.03, patience=30)
    plain = train(planted[0], options, progress=False)
    average = train(planted[0], replace(options, ema=0.98), progress=False)
    np.testing.assert_allclose(np.linalg.norm(average.directions, axis=1), 1, atol=1e-5)
    assert average.training["fidelity"]["r2_heldout"] > plain.training["fidelity"]["r2_heldout"] - 0.005

    def jumps(dictionary):
        return np.abs(np.diff([epoch["fvu"] for epoch in dictionary.training["progress"][10:24]])).mean()

    assert jumps(average) < 0.7 * jumps(plain)


def test_the_learning_rate_rises_and_falls(planted):
    options = TopK(24, 2, max_epochs=20, warmup_epochs=4, decay="linear")
    rates = [epoch["lr"] for epoch in train(planted[0], options, progress=False).training["progress"]]
    highest = 0.01 / 8**0.25
    assert rates[:4] == pytest.approx([highest / 4, highest / 2, highest * 3 / 4, highest])
    assert rates[4:16] == [highest] * 12
    assert len(rates) == 20
    assert rates[16:] == sorted(rates[16:], reverse=True)
    assert rates[-1] < highest / 30


def test_says_when_it_diverges():
    z = np.random.default_rng(0).normal(size=(100, 4))
    with pytest.raises(InputError) as error:
        train(z, ReluL1(8, lr=1e30, max_epochs=5), progress=False)
    assert str(error.value) == (
        "Training diverged: the loss is nan after pass 1. Choose a smaller lr than 1e+30."
    )


def test_whole_donors_are_held_out():
    z = np.random.default_rng(2).normal(size=(200, 4))
    donors = np.repeat(["d1", "d2", "d3", "d4"], 50).tolist()
    dictionary = train(z, TopK(max_epochs=2), groups=donors, progress=False)
    assert dictionary.training["split"]["by"] == "group"
    assert dictionary.training["n_cells"]["heldout"] == 50


def test_the_record_of_the_embedding_is_kept():
    z = np.random.default_rng(3).normal(size=(120, 4)).astype(np.float32)
    embeddings = Embeddings(z, pd.Index([f"c{i}" for i in range(120)]), "encoder1", "linear")
    dictionary = train(embeddings, TopK(max_epochs=2), progress=False)
    assert dictionary.encoder_id == "encoder1"
    assert dictionary.encode(embeddings).dictionary_id == dictionary.dictionary_id


@pytest.mark.parametrize(
    ("d_embed", "n_train", "k", "n_concepts"),
    [(10, 2187, 5, 80), (50, 567, 16, 56), (50, 40, 16, 32), (2, 10_000, 2, 16), (512, 100_000, 16, 512)],
)
def test_defaults_follow_the_data(d_embed, n_train, k, n_concepts):
    options = TopK().resolve(d_embed=d_embed, n_train=n_train)
    assert (options.k, options.n_concepts) == (k, n_concepts)
    assert options.dead_after == 5 * n_train
    assert options.max_epochs == (200 if n_train == 100_000 else 1000)
    assert options.patience == (20 if n_train == 100_000 else 30)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "TopK: k is 0, expected a positive whole number."),
        ({"lr": 0.0}, "TopK: lr is 0.0, expected a number above 0."),
        (
            {"lr": float("nan")},
            "TopK: lr is nan, expected a number above 0.",
        ),
        ({"ema": 1.0}, "TopK: ema is 1.0, expected a share of at least 0 and below 1."),
        ({"warmup_epochs": -1}, "TopK: warmup_epochs is -1, expected at least 0."),
        (
            {"heldout_fraction": 0.9},
            "TopK: heldout_fraction is 0.9, expected a share above 0 and at most 0.5.",
        ),
        (
            {"k": 9, "n_concepts": 8},
            "k is 9, expected 1 to n_concepts = 8. Choose a smaller k or more concepts.",
        ),
    ],
)
def test_refuses_impossible_options(options, message):
    with pytest.raises(InputError) as error:
        TopK(**options)
    assert str(error.value) == message


def test_refuses_fractions_of_concepts(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as outside the tests
    with pytest.raises(InputError) as error:
        TopK(k=2.5)
    assert str(error.value) == "TopK: k is 2.5, expected a positive whole number."


def test_refuses_fewer_concepts_than_the_default_k():
    with pytest.raises(InputError) as error:
        train(np.random.default_rng(0).normal(size=(100, 40)), TopK(n_concepts=8), progress=False)
    assert str(error.value) == "k is 16, expected 1 to n_concepts = 8. Choose a smaller k or more concepts."


def test_refuses_what_cannot_be_learned_from():
    with pytest.raises(InputError) as few:
        train(np.random.default_rng(0).normal(size=(49, 4)))
    assert str(few.value) == "Training needs at least 50 cells, found 49."
    with pytest.raises(InputError) as constant:
        train(np.full((80, 4), 3.3, dtype=np.float32))
    assert str(constant.value) == (
        "All 72 training cells have the same embedding, so there is nothing to learn. "
        "Check that the encoder reads the genes of these data."
    )
    with pytest.raises(InputError, match="The embedding has NaN or infinite values in 80 of 80 cells"):
        train(np.full((80, 4), np.nan))
    with pytest.raises(InputError) as groups:
        train(np.random.default_rng(0).normal(size=(80, 4)), groups=["a", "b"])
    assert str(groups.value) == "groups has 2 entries, expected one for each of 80 cells."
    with pytest.raises(InputError) as single:
        train(np.random.default_rng(0).normal(size=(80, 4)), groups=["d1"] * 80)
    assert str(single.value) == (
        "groups has the single value 'd1' in all 80 cells, holding out whole groups needs two or more. "
        "Leave groups out to hold out cells, or give a column with several donors."
    )
    with pytest.raises(InputError) as seed:
        train(np.random.default_rng(0).normal(size=(80, 4)), seed=-1)
    assert str(seed.value) == "seed is -1, expected at least 0."
    with pytest.raises(InputError, match="199 of 200 cells are held out, which leaves 0 to learn from"):
        train(np.random.default_rng(0).normal(size=(200, 4)), groups=["a"] * 199 + ["b"])
    with pytest.raises(InputError, match="groups is missing in 1 of 80 cells"):
        train(np.random.default_rng(0).normal(size=(80, 4)), groups=["a"] * 40 + ["b"] * 39 + [None])
    with pytest.raises(InputError, match="device is 'nowhere', which PyTorch cannot use here"):
        train(np.random.default_rng(0).normal(size=(80, 4)), device="nowhere")


def test_takes_what_numpy_and_pandas_give(planted, tmp_path):
    cells, donors = planted[0][:200], np.repeat(["a", "b"], 100)
    options = TopK(8, 2, max_epochs=2)
    plain = train(cells, options, seed=3, groups=donors.tolist(), progress=False)
    given = unwrap(train)(  # without the checks of types that tests add
        cells,
        options,
        seed=np.int64(3),
        groups=pd.Series(donors),
        progress=False,
        checkpoint=tmp_path / "checkpoint",
    )
    given.save(tmp_path / "dictionary")
    assert given.dictionary_id == plain.dictionary_id
    assert given.training == plain.training
