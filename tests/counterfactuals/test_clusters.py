import numpy as np

from conceptome.counterfactuals.clusters import cluster_labels


def test_pairs_that_share_a_cell_in_one_role_agree():
    factual, counterfactual = np.array([7, 2, 9, 7, 1]), np.array([1, 3, 3, 5, 8])
    np.testing.assert_array_equal(cluster_labels(factual, counterfactual), [0, 1, 1, 0, 2])


def test_labels_do_not_follow_the_order_of_cells():
    rng = np.random.default_rng(0)
    factual, counterfactual = rng.integers(40, size=(2, 30))
    order = rng.permutation(40)
    one, other = (
        cluster_labels(factual, counterfactual),
        cluster_labels(order[factual], order[counterfactual]),
    )
    np.testing.assert_array_equal(one, other)
    assert 1 < len(np.unique(one)) < 30
