"""Ranking of cells and of edited cells, against the same in plain Python."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from conceptome.core import Edits, InputError
from conceptome.encoders.cells import edits_by_cell
from conceptome.encoders.geneformer_tokens import GeneformerTokeniser
from conceptome.encoders.geneformer_vocabulary import GeneformerVocabulary

N_GENES = 8
MEDIANS = [1.0, 2.0, 0.5, 1.0, 4.0, 1.0, 2.0, 3.0]
COLUMNS = np.array([3, 0, 5, 0, 7, 1, 2, 6, 4, 3])
"""Gene of each of ten columns: genes 0 and 3 have two."""


def vocabulary(version):
    special = ["<pad>", "<mask>"] if version == 1 else ["<pad>", "<mask>", "<cls>", "<eos>"]
    names = [*special, *(f"G{gene}" for gene in range(N_GENES))]
    medians = {f"G{gene}": median for gene, median in enumerate(MEDIANS)}
    return GeneformerVocabulary({name: token for token, name in enumerate(names)}, medians)


def tokeniser(version, n_kept=N_GENES):
    return GeneformerTokeniser(vocabulary(version), longest=n_kept + (2 if version == 2 else 0))


def names(n_cells):
    return pd.Index([f"cell{number}" for number in range(n_cells)])


def as_csr(rows):
    return sp.csr_array(np.array(rows, dtype=np.float64).reshape(len(rows), len(COLUMNS)))


def genes_of(sequences, version):
    """The genes of every sequence; special tokens are checked and taken off."""
    found = []
    for start, stop in zip(sequences.indptr[:-1], sequences.indptr[1:], strict=True):
        tokens = sequences.tokens[start:stop].tolist()
        if version == 2:
            assert (tokens[0], tokens[-1]) == (2, 3)
            tokens = tokens[1:-1]
        found.append([token - (2 if version == 1 else 4) for token in tokens])
    return found


def sums(row):
    total = np.zeros(N_GENES)
    np.add.at(total, COLUMNS, row)
    return total


def ranking(total, allowed=range(N_GENES)):
    expressed = [gene for gene in allowed if total[gene] > 0]
    return sorted(expressed, key=lambda gene: (-total[gene] / MEDIANS[gene], gene))


counts = st.lists(st.integers(0, 4), min_size=len(COLUMNS), max_size=len(COLUMNS))
cells = st.lists(counts.filter(any), min_size=1, max_size=4)
versions = st.sampled_from([1, 2])
change = st.tuples(st.integers(0, len(COLUMNS) - 1), st.integers(0, 4))
changes = st.lists(change, max_size=3, unique_by=lambda pair: pair[0])


@given(cells, versions, st.integers(1, N_GENES))
def test_cells(rows, version, n_kept):
    found = tokeniser(version, n_kept).cells(as_csr(rows), COLUMNS, names(len(rows)))
    assert genes_of(found, version) == [ranking(sums(row))[:n_kept] for row in rows]


def edit(rows, edited, version, n_kept, how):
    lengths = [len(changed) for _, changed in edited]
    edits = Edits(
        np.array([cell for cell, _ in edited], dtype=np.int64),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.array([column for _, changed in edited for column, _ in changed], dtype=np.int64),
        np.array([value for _, changed in edited for _, value in changed], dtype=np.float64),
    )
    (part,) = edits_by_cell(
        as_csr(rows), edits, np.arange(len(COLUMNS)), n_genes=len(COLUMNS), batch_size=512
    )
    sequences = tokeniser(version, n_kept).edits(part, COLUMNS, names(len(part.cells)), edit=how)
    by_position = dict(zip(part.positions, genes_of(sequences, version), strict=True))
    return [by_position[position] for position in range(len(edited))]


@given(st.data(), cells, st.integers(1, N_GENES), st.sampled_from(["values", "delete"]))
def test_edits(data, rows, n_kept, how):
    edited = data.draw(
        st.lists(st.tuples(st.integers(0, len(rows) - 1), changes), min_size=1, max_size=6), label="edits"
    )
    expected = []
    for cell, changed in edited:
        row = list(rows[cell])
        for column, value in changed:
            row[column] = value
        before = ranking(sums(rows[cell]))[:n_kept]
        allowed = (
            {*before, *(COLUMNS[column] for column, _ in changed)} if how == "delete" else range(N_GENES)
        )
        expected.append(ranking(sums(row), allowed)[:n_kept])
    assert edit(rows, edited, 2, n_kept, how) == expected


def test_who_takes_a_free_place():
    row = [0, 8, 0, 0, 0, 0, 2, 0, 0, 3]  # gene 0: 8, gene 2: 4, gene 3: 3
    removal = [(0, [(1, 0)])]
    assert edit([row], removal, 1, 2, "values") == [[2, 3]]
    assert edit([row], removal, 1, 2, "delete") == [[2]]
    addition = [(0, [(2, 5)])]  # gene 5: 5
    assert edit([row], addition, 1, 2, "values") == edit([row], addition, 1, 2, "delete") == [[0, 5]]


def test_half_of_a_gene_may_go():
    row = [0, 3, 0, 2, 0, 0, 0, 0, 0, 1]  # columns 1 and 3 are both gene 0
    assert edit([row], [(0, [(1, 0)])], 1, 8, "delete") == [[0, 3]]
    assert edit([row], [(0, [(1, 0), (3, 0)])], 1, 8, "delete") == [[3]]


def test_ties_go_by_token_whatever_the_columns():
    row = np.zeros(len(COLUMNS))
    row[[0, 1, 2]] = 1  # genes 3, 0 and 5, all with median 1
    for order in ([0, 1, 2], [2, 1, 0]):
        columns = COLUMNS.copy()
        columns[:3] = COLUMNS[order]
        found = tokeniser(1).cells(as_csr([row]), columns, names(1))
        assert genes_of(found, 1) == [[0, 3, 5]]


def test_stored_zeros_are_no_tokens():
    stored = sp.csr_array((np.array([0.0, 2.0]), np.array([0, 4]), np.array([0, 2])), shape=(1, len(COLUMNS)))
    assert genes_of(tokeniser(1).cells(stored, COLUMNS, names(1)), 1) == [[7]]


def test_an_edit_may_leave_the_special_tokens_of_v2_alone():
    row = [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert edit([row], [(0, [(4, 0)]), (0, [])], 2, 8, "values") == [[], [7]]


@pytest.mark.parametrize("how", ["values", "delete"])
def test_refuses_an_edit_that_leaves_nothing_of_v1(how):
    row = [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    with pytest.raises(InputError, match="Edits leave no gene known to Geneformer in the cells cell0, and"):
        edit([row], [(0, [(4, 0)]), (0, [])], 1, 8, how)


def test_refuses_empty_cells():
    rows = np.zeros((3, len(COLUMNS)))
    rows[1, 2] = 1
    with pytest.raises(InputError) as caught:
        tokeniser(2).cells(as_csr(rows), COLUMNS, names(3))
    message = "2 cells express no gene known to Geneformer: cell0, cell2. Leave them out."
    assert str(caught.value) == message
