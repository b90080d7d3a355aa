import numpy as np

from conceptome.attribution.edit_effects import open_probe
from conceptome.attribution.pair_cells import PairCells


def test_the_two_cells_of_each_pair_stand_side_by_side(world):
    reader = open_probe(world.adata, world.encoder, world.dictionary, world.pairs).reader
    pairs = world.pairs.take(np.array([4, 0, 2]))
    sides = PairCells.of(reader, pairs)
    matrix = np.asarray(world.adata.X)
    known = world.encoder.known(world.adata)
    for end, cells in enumerate((pairs.factual, pairs.counterfactual)):
        np.testing.assert_array_equal(sides.values[end], matrix[cells])
        np.testing.assert_array_equal(sides.cells.rows[sides.ends[end]], cells)
    np.testing.assert_array_equal(sides.differs, (sides.values[0] != sides.values[1]) & known)
