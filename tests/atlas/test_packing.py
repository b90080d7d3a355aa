import gzip

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from conceptome.atlas.packing import HEADER, concatenate, pack_column, unpack_column


@given(st.sets(st.integers(0, 2**31 - 2), max_size=60), st.integers(0, 2**32 - 1))
def test_a_column_comes_back_to_a_255th_of_its_largest_value(cells, seed):
    cells = np.array(sorted(cells), dtype=np.int64)
    values = np.random.default_rng(seed).exponential(size=len(cells)).astype(np.float32) + np.float32(1e-6)
    found_cells, found = unpack_column(pack_column(cells, values))
    np.testing.assert_array_equal(found_cells, cells)
    assert (found > 0).all()
    np.testing.assert_allclose(found, values, atol=values.max(initial=0) / 255 * 1.0001, rtol=0)


def test_the_bytes_are_those_that_the_documentation_describes():
    raw = gzip.decompress(pack_column(np.array([0, 1, 200, 20_000]), np.array([1.0, 2.0, 0.001, 4.0])))
    assert HEADER.unpack_from(raw) == (4, 4.0)
    assert list(raw[8:12]) == [64, 128, 1, 255]
    assert list(raw[12:]) == [1, 1, 0xC7, 0x01, 0xD8, 0x9A, 0x01]  # 1, 1, 199, 19,800


def test_the_same_column_gives_the_same_bytes():
    column = np.arange(5), np.ones(5, np.float32)
    assert pack_column(*column) == pack_column(*column)


def test_joined_blobs_tell_where_each_begins():
    data, index = concatenate([b"ab", b"", b"cde"])
    assert data == b"abcde"
    assert index.tolist() == [0, 2, 2, 5]
