import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from conceptome.core import CheckpointError, InputError
from conceptome.encoders.scvi_architecture import ScviArchitecture
from conceptome.encoders.scvi_covariates import Covariate

DONOR = Covariate("donor", ("a", "b"), "a")
CELLS = pd.DataFrame({"donor": ["b", "a", "z"], "age": [1.0, 2.0, 3.0]})
REGISTRY = {
    "model_name": "SCVI",
    "field_registries": {
        "batch": {"state_registry": {"original_key": "lab", "categorical_mapping": np.array([3, 4])}},
        "extra_categorical_covs": {"state_registry": {"mappings": {"donor": ["x"], "sex": ["f", "m"]}}},
        "extra_continuous_covs": {"state_registry": {"columns": np.array(["age"], dtype=object)}},
        "labels": {"state_registry": {"original_key": "type", "categorical_mapping": ["B", "T"]}},
    },
    "setup_args": {"size_factor_key": "depth"},
}
PARAMS = {
    "non_kwargs": {"n_hidden": 8, "dropout_rate": 0.1},
    "kwargs": {"kwargs": {"encode_covariates": True}},
}


def reading(*covariates, continuous=(), encode=True):
    return ScviArchitecture(("G",), covariates=covariates, continuous=continuous, encode_covariates=encode)


def test_codes_covariates_in_the_order_of_scvi_tools():
    architecture = reading(DONOR, Covariate("age", ("1.0", "2.0", "3.0"), "1.0"), continuous=("age",))
    expected = [[1, 0, 1, 1, 0, 0], [2, 1, 0, 0, 1, 0], [3, 1, 0, 0, 0, 1]]
    np.testing.assert_array_equal(architecture.codes(CELLS), expected)
    assert architecture.n_codes("encoder") == 6


def test_codes_nothing_that_the_encoder_does_not_read():
    architecture = reading(DONOR, continuous=("nowhere",), encode=False)
    assert architecture.codes(CELLS).shape == (3, 0)
    assert architecture.n_codes("encoder") == 0


def test_a_missing_column_takes_the_reference_and_says_so(caplog):
    architecture = reading(DONOR)
    cells = CELLS.drop(columns="donor")
    np.testing.assert_array_equal(architecture.codes(cells), [[1, 0]] * 3)
    for _ in range(2):  # for every batch of cells
        architecture.warn_of_unseen(cells)
    assert caplog.messages == [
        "The data have no obs['donor'], which the encoder reads: all cells are encoded as 'a', one of the "
        "known a, b."
    ]


def test_known_categories_are_no_news(caplog):
    reading(DONOR).warn_of_unseen(CELLS.iloc[:2])
    reading(DONOR, encode=False).warn_of_unseen(CELLS)
    assert not caplog.messages


def test_another_reference_stands_for_the_unseen():
    architecture = reading(DONOR).with_reference({"donor": "b"})
    np.testing.assert_array_equal(architecture.codes(CELLS), [[0, 1], [1, 0], [0, 1]])


@pytest.mark.parametrize("reference", [{"donor": "z"}, {"batch": "a"}])
def test_refuses_references_that_do_not_exist(reference):
    with pytest.raises(InputError, match=r"It knows donor: a, b; 'mean' takes the average\."):
        reading(DONOR).with_reference(reference)


def test_the_mean_stands_for_the_unseen_and_is_named(caplog):
    architecture = reading(DONOR).with_reference({"donor": "mean"})
    np.testing.assert_array_equal(architecture.codes(CELLS), [[0, 1], [1, 0], [0.5, 0.5]])
    architecture.warn_of_unseen(CELLS)
    assert caplog.messages == [
        "The encoder has never seen obs['donor'] = z: those cells are encoded as the mean over all a, b."
    ]


def test_a_category_of_that_name_goes_before_the_mean():
    architecture = reading(Covariate("donor", ("mean", "b"), "mean"))
    np.testing.assert_array_equal(architecture.codes(CELLS), [[0, 1], [1, 0], [1, 0]])


@pytest.mark.parametrize("sizes", [{"n_hidden": 0}, {"n_latent": -3}, {"n_layers": 10**9}])
def test_refuses_sizes_that_no_model_has(sizes):
    ((name, value),) = sizes.items()
    with pytest.raises(CheckpointError) as caught:
        ScviArchitecture(("G",), **sizes)
    assert str(caught.value) == f"The settings of the scVI model say {name}={value!r}, which no model has."


def test_refuses_missing_numbers():
    with pytest.raises(InputError) as caught:
        reading(continuous=("weight",)).codes(CELLS)
    message = "The model reads obs['weight'] (a continuous covariate); the data have donor, age."
    assert str(caught.value) == message
    with pytest.raises(InputError) as caught:
        reading(continuous=("donor",)).codes(CELLS)
    found = "The model reads obs['donor'] (a continuous covariate) as a number"
    message = f"{found}; 3 cells have none there. Fill it in."
    assert str(caught.value) == message


def test_config_and_back():
    architecture = replace(reading(DONOR, continuous=("age",)), dispersion_of=DONOR)
    config = json.loads(json.dumps(architecture.to_config()))
    assert ScviArchitecture.from_config(config) == architecture


def test_reads_the_registry_of_scvi_tools():
    architecture = ScviArchitecture.from_scvi_tools(PARAMS, REGISTRY, np.array(["A", "B"], dtype=object))
    assert architecture == ScviArchitecture(
        genes=("A", "B"),
        n_hidden=8,
        encode_covariates=True,
        covariates=(Covariate("lab", ("3", "4"), "3"), Covariate("sex", ("f", "m"), "f")),
        continuous=("age",),
        size_factor_key="depth",
    )


@pytest.mark.parametrize(
    ("dispersion", "expected"),
    [
        ("gene", None),
        ("gene-batch", Covariate("lab", ("3", "4"), "3")),
        ("gene-label", Covariate("type", ("B", "T"), "B")),
    ],
)
def test_reads_on_what_dispersion_depends(dispersion, expected):
    params = {"non_kwargs": {"dispersion": dispersion}, "kwargs": {"model_kwargs": {"n_hidden": 7}}}
    architecture = ScviArchitecture.from_scvi_tools(params, REGISTRY, np.array(["A"]))
    assert architecture.dispersion_of == expected
    assert architecture.n_hidden == 7


def test_refuses_other_models():
    with pytest.raises(CheckpointError) as caught:
        ScviArchitecture.from_scvi_tools(PARAMS, {**REGISTRY, "model_name": "TOTALVI"}, np.array(["A"]))
    assert str(caught.value) == "This is a TOTALVI model of scvi-tools. Only SCVI can be loaded."


@pytest.mark.parametrize(
    "variant",
    [
        {"latent_distribution": "ln"},
        {"batch_representation": "embedding"},
        {"extra_encoder_kwargs": {"bias": False}},
    ],
)
def test_refuses_variants_that_change_the_encoder(variant):
    params = {"non_kwargs": {}, "kwargs": {"kwargs": variant}}
    (name,) = variant
    with pytest.raises(CheckpointError, match=f"The model was made with {name}="):
        ScviArchitecture.from_scvi_tools(params, REGISTRY, np.array(["A"]))
