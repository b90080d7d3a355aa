import matplotlib.pyplot as plt
import pandas as pd

import conceptome as cm
from conceptome.dictionaries import Hierarchy


def test_children_stand_below_their_parent_and_the_rest_is_counted():
    concepts = pd.DataFrame(
        {
            "concept": range(6),
            "level": [0, 0, 1, 1, 2, 2],
            "frequency": [0.5, 0.4, 0.2, 0.1, 0.05, 0.02],
            "parent": pd.array([None, None, 0, None, 2, None], dtype="Int64"),
            "share": [None, None, 0.9, None, 0.6, None],
        }
    )
    record = Hierarchy(concepts, pd.DataFrame(), (2, 4, 6))
    ax = cm.pl.hierarchy(record, names={0: "T", 2: "CD8 T"})
    texts = {text.get_text(): text.get_position() for text in ax.texts}
    rows = {name: y for name, (_, y) in texts.items() if y >= 0}
    assert rows == {"0 T": 0, "2 CD8 T": 1, "4": 2, "1": 3}
    assert [line.get_xydata().tolist() for line in ax.lines] == [[[0, 0], [1, 1]], [[1, 1], [2, 2]]]
    assert [line.get_linewidth() for line in ax.lines] == [2.5 * 0.9, 2.5 * 0.6]
    heads = [name for name, (_, y) in texts.items() if y < 0]
    assert heads == ["0–1\n", "2–3\n1 on their own", "4–5\n1 on their own"]
    (points,) = ax.collections
    assert points.get_offsets().tolist() == [[0, 0], [1, 1], [2, 2], [0, 3]]
    plt.close("all")
