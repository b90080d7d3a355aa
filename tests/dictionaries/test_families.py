from dataclasses import dataclass

import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from conceptome.core import CheckpointError, InputError
from conceptome.dictionaries import (
    BatchTopK,
    BatchTopKDictionary,
    JumpReLU,
    JumpReluDictionary,
    Matryoshka,
    MatryoshkaDictionary,
    ReluL1,
    ReluL1Dictionary,
    ThresholdedWeights,
    TopK,
    TopKDictionary,
    TrainingOptions,
    Weights,
    load,
    train,
)
from conceptome.dictionaries.rules import TopKRule
from conceptome.testing import check_dictionary

N_CONCEPTS, D_EMBED = 10, 4
FAMILIES = {
    "topk": (TopK(24, 2, max_epochs=100), TopKDictionary),
    "batch_topk": (BatchTopK(24, 2, max_epochs=100), BatchTopKDictionary),
    "jumprelu": (JumpReLU(24, 2, max_epochs=100), JumpReluDictionary),
    "matryoshka": (Matryoshka(24, 2, max_epochs=100), MatryoshkaDictionary),
    "matryoshka-topk": (Matryoshka(24, 2, activation="topk", max_epochs=100), MatryoshkaDictionary),
    "relu_l1": (ReluL1(24, l1_weight=0.05, max_epochs=100), ReluL1Dictionary),
}


@pytest.fixture(scope="module")
def trained(planted):
    return {name: train(planted[0], options, progress=False) for name, (options, _) in FAMILIES.items()}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_options_decide_the_family(trained, name):
    dictionary = trained[name]
    assert type(dictionary) is FAMILIES[name][1]
    assert dictionary.kind == name.removesuffix("-topk")
    assert dictionary.training["options"]["n_concepts"] == dictionary.n_concepts == 24


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_keeps_the_contract(planted, trained, name):
    check_dictionary(trained[name], planted[0][:100])


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_comes_back_from_disk(tmp_path, planted, trained, name):
    trained[name].save(tmp_path)
    loaded = load(tmp_path)
    assert type(loaded) is type(trained[name])
    assert loaded.dictionary_id == trained[name].dictionary_id
    assert loaded.settings() == trained[name].settings()
    z = planted[0]
    np.testing.assert_array_equal(loaded.encode(z).toarray(), trained[name].encode(z).toarray())


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_reconstructs_unseen_cells(trained, name):
    fidelity = trained[name].training["fidelity"]
    if name != "relu_l1":
        assert fidelity["l0"] == pytest.approx(2, rel=0.2)
    assert fidelity["r2_heldout"] > 0.8
    if not name.startswith("matryoshka"):  # whose first half holds the planted twelve: no more are needed
        assert fidelity["dead"] < 0.2


def test_no_family_is_much_worse_than_topk_at_equal_l0(trained):
    r2 = {name: dictionary.training["fidelity"]["r2_heldout"] for name, dictionary in trained.items()}
    for name in ("batch_topk", "jumprelu", "matryoshka", "matryoshka-topk"):
        assert r2[name] > r2["topk"] - 0.1


@dataclass(frozen=True)
class Winner(TrainingOptions[TopKDictionary]):
    """A family from elsewhere: the strongest concept alone."""

    def own_defaults(self, *, d_embed, n_train):
        return {"n_concepts": self.n_concepts or d_embed}

    def rule(self):
        return TopKRule(1)

    def penalty(self, model, x, outcome):
        return 1e-3 * model.b_enc.square().sum()

    def dictionary(self, maps, *, mean, scale, encoder_id):
        return TopKDictionary(Weights(**maps, mean=mean), 1, scale=scale, encoder_id=encoder_id)


def test_a_family_from_elsewhere_is_trained_by_the_same_loop(planted):
    dictionary = train(planted[0], Winner(max_epochs=30), progress=False)
    check_dictionary(dictionary, planted[0][:100])
    assert dictionary.training["fidelity"]["l0"] == 1
    assert dictionary.n_concepts == 8
    assert dictionary.training["fidelity"]["r2_heldout"] > 0.3


def test_prefixes_of_a_matryoshka_reconstruct_more_and_more(planted, trained):
    z, dictionary = planted[0], trained["matryoshka"]
    activations = dictionary.encode(z).toarray()
    assert dictionary.prefixes == (3, 6, 12, 24)

    def error(found, width):
        part = np.where(np.arange(24) < width, found.encode(z).toarray(), 0)
        return float(((z - found.decode(part)) ** 2).sum())

    errors = [error(dictionary, width) for width in dictionary.prefixes]
    assert errors == sorted(errors, reverse=True)
    assert error(dictionary, 6) < 0.8 * error(trained["batch_topk"], 6)
    assert activations[:, :6].any()


def test_an_l1_penalty_decides_how_many_are_active(planted):
    few, many = (
        train(planted[0], ReluL1(24, l1_weight=weight, max_epochs=40), progress=False).training["fidelity"]
        for weight in (0.5, 0.02)
    )
    assert many["l0"] > 1.3 * few["l0"]
    assert many["r2_heldout"] > few["r2_heldout"]


def untrained(family, **settings):
    rng = np.random.default_rng(0)
    wide = (N_CONCEPTS, D_EMBED)
    shapes = {"w_enc": wide, "b_enc": N_CONCEPTS, "directions": wide, "b_dec": D_EMBED, "mean": D_EMBED}
    weights = Weights(**{name: rng.normal(size=shape) for name, shape in shapes.items()})
    return family(weights, **settings)


LEVELS = np.arange(1, N_CONCEPTS + 1) / 2
THRESHOLDED = [
    (untrained(BatchTopKDictionary, threshold=1.0), np.full(N_CONCEPTS, 1.0)),
    (untrained(MatryoshkaDictionary, prefixes=[3, 10], threshold=2.0), np.full(N_CONCEPTS, 2.0)),
    (
        JumpReluDictionary(
            ThresholdedWeights(**untrained(ReluL1Dictionary).weights.arrays(), threshold=LEVELS)
        ),
        LEVELS,
    ),
    (untrained(ReluL1Dictionary), np.zeros(N_CONCEPTS)),
]
pre_values = arrays(np.float32, (6, N_CONCEPTS), elements=st.integers(-2, 3).map(float))
concepts = st.integers(0, N_CONCEPTS - 1)


@given(pre_values, concepts)
@settings(deadline=None, max_examples=30)
def test_thresholds_admit_what_exceeds_them(pre, concept):
    """Whole numbers make pre-activations that equal the threshold frequent."""
    for dictionary, above in THRESHOLDED:
        expected = [[p if p > t else 0 for p, t in zip(row, above, strict=True)] for row in pre]
        found = dictionary.activate(pre)
        np.testing.assert_array_equal(found, np.array(expected, dtype=np.float32))
        assert found.dtype == np.float32
        np.testing.assert_array_equal(dictionary.activate_one(pre, concept), found[:, concept])


@given(pre_values, concepts, st.integers(1, N_CONCEPTS))
@settings(deadline=None, max_examples=30)
def test_a_topk_matryoshka_selects_like_topk(pre, concept, k):
    nested = untrained(MatryoshkaDictionary, prefixes=[2, 10], k=k)
    np.testing.assert_array_equal(nested.activate(pre), untrained(TopKDictionary, k=k).activate(pre))
    np.testing.assert_array_equal(nested.activate_one(pre, concept), nested.activate(pre)[:, concept])


@pytest.mark.parametrize(("d_embed", "n_train"), [(10, 2187), (50, 567), (512, 100_000)])
@pytest.mark.parametrize("family", [TopK, BatchTopK, JumpReLU, Matryoshka, ReluL1])
def test_defaults_fill_every_option(family, d_embed, n_train):
    options = family().resolve(d_embed=d_embed, n_train=n_train)
    undecided = [name for name, value in vars(options).items() if value is None]
    assert undecided == (["axes"] if d_embed == 512 else [])  # a wide embedding decides by trying
    assert options.n_concepts == TopK().resolve(d_embed=d_embed, n_train=n_train).n_concepts
    assert options == options.resolve(d_embed=d_embed, n_train=n_train)


def test_prefixes_follow_the_number_of_concepts():
    assert Matryoshka(64, 4).resolve(d_embed=8, n_train=1000).prefixes == (8, 16, 32, 64)
    assert Matryoshka(3, 2).resolve(d_embed=8, n_train=1000).prefixes == (1, 3)
    assert Matryoshka(prefixes=(5, 20)).resolve(d_embed=8, n_train=1000).n_concepts == 20


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BatchTopK(k=0), "BatchTopK: k is 0, expected a positive whole number."),
        (
            lambda: JumpReLU(4, 9),
            "k is 9, expected 1 to n_concepts = 4. Choose a smaller k or more concepts.",
        ),
        (lambda: JumpReLU(l0_weight=0.0), "JumpReLU: l0_weight is 0.0, expected a number above 0."),
        (lambda: JumpReLU(bandwidth=np.nan), "JumpReLU: bandwidth is nan, expected a number above 0."),
        (lambda: ReluL1(l1_weight=-1.0), "ReluL1: l1_weight is -1.0, expected a number above 0."),
        (
            lambda: Matryoshka(8, prefixes=(4, 2, 8)),
            "prefixes are (4, 2, 8), expected increasing numbers up to n_concepts = 8.",
        ),
        (
            lambda: Matryoshka(8, prefixes=(2, 4)),
            "prefixes are (2, 4), expected increasing numbers up to n_concepts = 8.",
        ),
        (
            lambda: Matryoshka(prefixes=(0, 4)),
            "prefixes are (0, 4), expected increasing numbers up to n_concepts = 4.",
        ),
        (
            lambda: untrained(MatryoshkaDictionary, prefixes=[10], k=2, threshold=1.0),
            "k is 2 and threshold 1.0, expected one of them and None for the other.",
        ),
        (lambda: untrained(BatchTopKDictionary, threshold=-1.0), "threshold is -1.0, expected at least 0."),
        (
            lambda: TopK().rule(),
            "These options still depend on the data. Fill them in by options.resolve first.",
        ),
    ],
)
def test_refuses_impossible_numbers(make, message):
    with pytest.raises(InputError) as error:
        make()
    assert str(error.value) == message


def test_refuses_an_unknown_activation(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as outside the tests
    with pytest.raises(InputError) as error:
        Matryoshka(activation="relu")
    assert str(error.value) == "Matryoshka: activation is 'relu', expected one of topk, batch_topk."


def test_refuses_thresholds_that_are_not_positive():
    maps = untrained(ReluL1Dictionary).weights.arrays()
    with pytest.raises(InputError) as error:
        ThresholdedWeights(**maps, threshold=np.zeros(N_CONCEPTS))
    assert str(error.value) == (
        "Weights: threshold has shape (10,) and the least value 0, expected one number above 0 for each of "
        "10 concepts."
    )


def test_refuses_a_folder_of_another_family(tmp_path, trained):
    trained["jumprelu"].save(tmp_path)
    with pytest.raises(CheckpointError, match="holds a 'jumprelu' dictionary with the weights"):
        ReluL1Dictionary.load(tmp_path)


def test_jumprelu_concepts_do_not_keep_to_single_cells():
    """With thresholds of their own from the start they do, and in a new cell several of them fire at once."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(60, 20))
    z = (rng.random((600, 60)) < 0.1) * rng.gamma(2, size=(600, 60)) @ directions
    late, shared = (
        train(z, JumpReLU(120, 6, max_epochs=60, shared_epochs=n), progress=False).training["fidelity"]
        for n in (1, 20)
    )
    assert shared["r2_heldout"] > late["r2_heldout"] + 0.1
    assert shared["r2_heldout"] > 0.6
