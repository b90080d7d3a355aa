import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import conceptome as cm


def test_every_matching_is_compared_with_the_first():
    table = pd.DataFrame(
        {
            "concept": [0, 0, 0, 1, 1, 1],
            "one": ["a", "a", "b"] * 2,
            "other": ["b", "c", "c"] * 2,
            "spearman": [0.5, 0.7, 0.1, 0.9, 0.8, 0.2],
            "spearman_drivers": [0.6, -0.4, 0.1, np.nan, 1.0, 0.2],
            "n_drivers_other": [4, 5, 9, 6, 7, 9],
            "n_lost": [1, 2, 9, 3, 4, 9],
            "n_won": [0, 1, 9, 2, 3, 9],
        }
    )
    ax = cm.pl.sensitivity(table)
    texts = [text.get_text() for text in ax.texts]
    assert {"b", "c", "10, −4 +2", "12, −6 +4"} <= set(texts)
    dots = [line.get_xdata().tolist() for line in ax.lines]
    assert dots == [[0.5, 0.9], [0.6], [0.7, 0.8], [-0.4, 1.0]]
    medians = [bar.get_segments()[0][0, 0] for bar in ax.collections]
    np.testing.assert_allclose(medians, [0.7, 0.6, 0.75, 0.3])
    assert ax.get_xlabel() == "Spearman correlation with a"
    assert ax.get_xlim()[0] == -0.4
    plt.close("all")
