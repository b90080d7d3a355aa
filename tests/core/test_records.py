import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from conceptome.core import (
    ENRICHMENT_COLUMNS,
    Activations,
    Attributions,
    Edits,
    Embeddings,
    Enrichment,
    InputError,
)


def cells(n):
    return pd.Index([f"cell{i}" for i in range(n)])


def test_embeddings_refuse_another_number_of_cells():
    with pytest.raises(InputError) as error:
        Embeddings(np.zeros((3, 2)), cells(2), "id")
    assert str(error.value) == (
        "Embeddings: values has 3 along axis 'cells', expected 2. Build all parts from one source."
    )


def test_embeddings_to_frame_names_cells():
    frame = Embeddings(np.arange(6.0).reshape(3, 2), cells(3), "id").to_frame()
    assert list(frame.index) == ["cell0", "cell1", "cell2"]
    assert frame.loc["cell2", 1] == 5.0


def test_activations_know_frequency_and_ignore_stored_zeros():
    values = sp.csr_array(np.array([[1.0, 0.0, 2.0], [3.0, 0.0, 0.0]]))
    values.data[0] = 0.0  # an explicit zero is not an activation
    record = Activations(values, cells(2), "id")
    np.testing.assert_array_equal(record.frequency(), [0.5, 0.0, 0.5])
    np.testing.assert_array_equal(record.of(2), [2.0, 0.0])


def test_activations_to_frame_is_long():
    frame = Activations(sp.csr_array(np.diag([1.0, 2.0])), cells(2), "id").to_frame()
    assert frame.to_dict("list") == {"cell": ["cell0", "cell1"], "concept": [0, 1], "activation": [1.0, 2.0]}


def test_edits_of_one_gene_and_of_none():
    single = Edits.single(np.array([0, 0]), np.array([4, 5]), np.array([1.0, 0.0]))
    assert len(single) == 2
    np.testing.assert_array_equal(np.diff(single.indptr), [1, 1])
    noop = Edits.noop(3)
    assert len(noop) == 3
    assert len(noop.genes) == 0


def test_enrichment_refuses_a_table_without_its_columns():
    with pytest.raises(
        InputError, match=r"^Enrichment: the table lacks the columns \['concept', 'collection'"
    ):
        Enrichment(pd.DataFrame())
    assert Enrichment(pd.DataFrame(columns=list(ENRICHMENT_COLUMNS))).to_frame().empty


@pytest.mark.parametrize("name", ["n_differing", "sign_consistency", "null_attribution", "null_se", "p"])
def test_attributions_refuse_an_array_of_another_shape(name):
    floats = ("attribution", "se", "ci_low", "ci_high", "effect_act", "effect_pre", "sign_consistency")
    record = Attributions(
        **{field: np.zeros((2, 3)) for field in (*floats, "p", "q", "null_attribution", "null_se")},
        n_differing=np.zeros((2, 3), dtype=int),
        drives=np.zeros((2, 3), dtype=bool),
        floor=np.zeros(2),
        null_driver_rate=np.zeros(2),
        n_pairs=np.zeros(2, dtype=int),
        status=np.array(["ok", "ok"]),
        concepts=np.arange(2),
        genes=pd.Index(["a", "b", "c"]),
        dictionary_id="d",
        encoder_id="e",
    )
    object.__setattr__(record, name, getattr(record, name)[:, :2])  # annotations are checked while testing
    with pytest.raises(InputError) as error:
        record.__post_init__()
    assert str(error.value) == f"Attributions: {name} has shape (2, 2), expected (2, 3) (concepts x genes)."
