import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from conceptome.plotting.placing import place, sunflower


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 25),
    linked=st.sampled_from([0.0, 0.2, 1.0]),
    equal=st.booleans(),
)
def test_boxes_never_overlap_and_come_out_the_same(seed, n, linked, equal):
    rng = np.random.default_rng(seed)
    sizes = np.full((n, 2), 30.0) if equal else rng.uniform(5, 120, size=(n, 2))
    links = np.triu(rng.random((n, n)) < linked, 1).astype(float)
    centres = place(sizes, links + links.T)
    apart = np.abs(centres[:, None] - centres[None]) - (sizes[:, None] + sizes[None]) / 2
    assert (apart.max(axis=2)[~np.eye(n, dtype=bool)] >= 0).all()
    np.testing.assert_array_equal(centres, place(sizes, links + links.T))


def test_linked_boxes_stand_closer_than_others():
    group = np.arange(12) % 3
    links = (group[:, None] == group[None]).astype(float) - np.eye(12)
    centres = place(np.full((12, 2), 20.0), links)
    distance = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    inside = distance[(links > 0)].mean()
    assert inside < 0.7 * distance[(links == 0) & ~np.eye(12, dtype=bool)].mean()


def test_points_of_a_sunflower_keep_their_distance():
    for n in (2, 3, 10, 200):
        points = sunflower(n, 7.0)
        assert pdist(points).min() >= 7.0
        np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-9)
    assert np.hypot(*sunflower(200, 7.0).T).max() < 7.0 * np.sqrt(200)
