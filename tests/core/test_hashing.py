import numpy as np

from conceptome.core import content_id


def test_order_of_settings_does_not_matter():
    assert content_id({"a": 1, "b": 2}) == content_id({"b": 2, "a": 1})


def test_every_part_of_an_array_enters_the_identifier():
    base = np.arange(6, dtype=np.float32)
    variants = [base, base + 1, base.reshape(2, 3), base.astype(np.float64), base.view(np.int32)]
    assert len({content_id({}, {"w": array}) for array in variants}) == len(variants)
    assert content_id({}, {"w": base}) != content_id({}, {"v": base})
    assert content_id({"k": 1}, {"w": base}) != content_id({"k": 2}, {"w": base})


def test_memory_layout_does_not_matter():
    array = np.arange(6.0).reshape(2, 3)
    assert content_id({}, {"w": array}) == content_id({}, {"w": np.asfortranarray(array)})
