import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conceptome.core import InputError
from conceptome.evaluation import seeded_split

LABELS = np.repeat(["a", "b", "c"], [60, 30, 10])


@given(st.integers(0, 10_000), st.sampled_from([0.3, 0.5]))
def test_every_label_gives_its_share(seed, share):
    test = seeded_split(LABELS, test_share=share, seed=seed)
    for name, size in zip("abc", (60, 30, 10), strict=True):
        assert test[name == LABELS].sum() == round(size * share)


def test_seeds_differ_and_repeat():
    one, again, other = (seeded_split(LABELS, test_share=0.5, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


@given(st.integers(0, 10_000))
def test_groups_are_never_divided(seed):
    groups = np.array(["d1", "d2", "d3", "d4", "d5"] * 20)
    test = seeded_split(LABELS, test_share=0.3, seed=seed, groups=groups)
    assert len(set(groups[test])) == 2
    assert not set(groups[test]) & set(groups[~test])


def test_refuses_a_single_group():
    with pytest.raises(InputError) as error:
        seeded_split(LABELS, test_share=0.5, seed=0, groups=np.full(100, "d1"))
    assert str(error.value) == "Testing on held-out groups needs at least two, found 1. Leave group_key out."
