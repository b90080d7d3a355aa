import numpy as np

from conceptome.atlas import related


def test_every_likeness_is_what_numpy_says(contents):
    table = related.related_table(contents)
    values = contents.activations.values.toarray()
    expected = np.corrcoef(values.T)
    np.fill_diagonal(expected, -np.inf)
    of_first = table[(table["concept"] == 0) & (table["kind"] == "activations")]
    assert of_first["other"].iloc[0] == expected[0].argmax()
    np.testing.assert_allclose(
        of_first["similarity"], np.sort(expected[0])[::-1][: len(of_first)], atol=1e-12
    )
    other = of_first["other"].iloc[0]
    both = (values[:, 0] > 0) & (values[:, other] > 0)
    assert of_first["shared"].iloc[0] == both.sum()
    rate = (values > 0).mean(axis=0)
    np.testing.assert_allclose(of_first["expected"].iloc[0], rate[0] * rate[other] * len(values))


def test_genes_are_shared_only_with_the_same_sign(contents):
    table = related.related_table(contents)
    record = contents.attributions
    signed = [
        {(gene, score > 0) for gene, score in enumerate(record.attribution[row]) if record.drives[row, gene]}
        for row in range(len(record.concepts))
    ]
    rows = table[table["kind"] == "genes"]
    assert len(rows)
    for row in rows.itertuples():
        one, two = (signed[list(record.concepts).index(side)] for side in (row.concept, row.other))
        assert row.shared == len(one & two)
        assert abs(row.similarity - len(one & two) / len(one | two)) < 1e-12


def test_blocks_change_nothing(contents, monkeypatch):
    whole = related.related_table(contents)
    monkeypatch.setattr(related, "BLOCK_CONCEPTS", 3)
    np.testing.assert_allclose(related.related_table(contents)["similarity"], whole["similarity"], atol=1e-12)
