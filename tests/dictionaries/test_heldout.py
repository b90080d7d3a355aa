import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conceptome.core import InputError
from conceptome.dictionaries import HeldoutSplit

CELLS = [f"cell{i}" for i in range(1000)]


@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.1, 0.5]))
def test_holds_out_the_share_asked_for(seed, fraction):
    split = HeldoutSplit.draw(CELLS, fraction=fraction, seed=seed, by="cell")
    assert split.mask(CELLS).sum() == round(1000 * fraction)


@given(st.integers(0, 10_000), st.permutations(list(range(40))))
def test_names_the_same_cells_after_permuting_and_removing_rows(seed, order):
    mask = HeldoutSplit.draw(CELLS, fraction=0.3, seed=seed, by="cell").mask
    rows = order[:25]
    np.testing.assert_array_equal(mask([CELLS[row] for row in rows]), mask(CELLS)[rows])


def test_seeds_differ_and_repeat():
    masks = [HeldoutSplit.draw(CELLS, fraction=0.2, seed=seed, by="cell").mask(CELLS) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(masks[0], masks[1])
    assert 0.05 < (masks[0] & masks[2]).mean() / 0.2 < 0.4


def test_whole_groups_are_held_out_and_never_all():
    donors = np.repeat(["a", "b", "c"], [5, 900, 95]).tolist()
    for seed in range(5):
        split = HeldoutSplit.draw(donors, fraction=0.01, seed=seed, by="group")
        assert len(set(np.array(donors)[split.mask(donors)])) == 1
        split = HeldoutSplit.draw(donors, fraction=1.0, seed=seed, by="group")
        assert len(set(np.array(donors)[split.mask(donors)])) == 2


def test_refuses_a_single_group():
    with pytest.raises(InputError) as error:
        HeldoutSplit.draw(["donor1"] * 10, fraction=0.1, seed=0, by="group")
    assert str(error.value) == "Holding out cells by group needs at least two different groups, found 1."
