import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conceptome.core import BLOCK_ROWS, map_blocks, row_batches


@given(n_rows=st.integers(0, 40), block_rows=st.integers(1, 17), seed=st.integers(0, 99))
def test_blocks_equal_the_whole(n_rows, block_rows, seed):
    rows = np.random.default_rng(seed).normal(size=(n_rows, 5))
    result = map_blocks(lambda block: np.tanh(block) * 2.0, rows, block_rows=block_rows)
    np.testing.assert_array_equal(result, np.tanh(rows) * 2.0)


def test_every_block_has_the_same_number_of_rows():
    seen = []
    map_blocks(lambda block: seen.append(len(block)) or block, np.ones((25, 3)), block_rows=10)
    assert seen == [10, 10, 10]


@pytest.mark.parametrize("n_rows", [1, 7, 600])
def test_a_row_rounds_the_same_whatever_stands_beside_it(n_rows):
    generator = np.random.default_rng(0)
    weights = generator.normal(size=(64, 33)).astype(np.float32)
    rows = generator.normal(size=(n_rows, 64)).astype(np.float32)
    together = map_blocks(lambda block: block @ weights, rows)
    alone = map_blocks(lambda block: block @ weights, rows[:1])
    np.testing.assert_array_equal(together[:1], alone)


@pytest.mark.parametrize(("n_rows", "batch_size"), [(0, 1), (5, 1), (1024, 512), (1025, 513), (3000, 10**6)])
def test_batches_are_whole_blocks_that_cover_the_rows(n_rows, batch_size):
    batches = list(row_batches(n_rows, batch_size))
    covered = np.concatenate([np.arange(n_rows)[batch] for batch in batches] or [np.arange(0)])
    np.testing.assert_array_equal(covered, np.arange(n_rows))
    assert all(batch.start % BLOCK_ROWS == 0 for batch in batches)
    assert all(batch.stop - batch.start >= min(batch_size, BLOCK_ROWS) for batch in batches[:-1])
