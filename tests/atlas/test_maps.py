import gzip
import io

import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from conceptome.atlas import maps


def test_both_axes_are_scaled_alike_and_cells_without_a_place_are_marked():
    layout = np.array([[0.0, 0.0], [10.0, 5.0], [np.nan, 1.0]])
    assert maps.place_cells(layout).tolist() == [[0, 16384], [65534, 49150], [65535, 65535]]


@given(st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 65535)), min_size=1, max_size=40))
def test_cells_are_ordered_by_interleaved_bits(places):
    order = maps.morton_order(np.array(places, dtype=np.uint16))
    codes = [int("".join(y + x for x, y in zip(f"{a:016b}", f"{b:016b}", strict=True)), 2) for a, b in places]
    assert order.tolist() == sorted(range(len(codes)), key=codes.__getitem__)


def test_neighbours_in_the_order_are_neighbours_on_the_map():
    places = np.random.default_rng(0).integers(0, 65535, (5000, 2)).astype(np.uint16)
    ordered = places[maps.morton_order(places)].astype(float)
    steps = np.linalg.norm(np.diff(ordered, axis=0), axis=1)
    assert np.median(steps) < 0.05 * np.median(np.linalg.norm(np.diff(places.astype(float), axis=0), axis=1))


def test_small_maps_keep_the_largest_activation_of_each_pixel():
    places = np.array([[0, 0], [1, 1], [65534, 65534], [65535, 65535]], dtype=np.uint16)
    values = sp.csr_array(np.array([[1.0], [2.0], [4.0], [8.0]]))
    (sheet,) = maps.thumb_sheets(values, places)
    pixels = np.frombuffer(gzip.decompress(sheet), np.uint8).reshape(32, 48, 48)
    assert pixels[0, 47, 0] == 64  # bottom left; 8 is the largest value but has no place
    assert pixels[0, 0, 47] == 128
    assert np.count_nonzero(pixels) == 2


def test_the_picture_of_all_cells_is_a_png_that_shows_them():
    places = np.array([[0, 0], [65534, 65534], [65535, 65535]], dtype=np.uint16)
    image = imread(io.BytesIO(maps.draw_base(places)), format="png")
    alpha = image[..., -1]
    assert image.shape[:2] == (512, 512)
    assert alpha[511, 0] > 0 and alpha[0, 511] > 0  # noqa: PT018 - two corners
    assert np.count_nonzero(alpha) == 2
