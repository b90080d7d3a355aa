import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import conceptome as cm
from conceptome.evaluation import SeedStability


def test_every_measure_stands_above_its_chance():
    rng = np.random.default_rng(0)
    tables = [
        pd.DataFrame({"concept": range(9), "stability": rng.random(9), "null": 0.1, "p": 0.5, "by": by})
        for by in ("directions", "activations")
    ]
    tables[0].loc[4, ["stability", "null", "p"]] = np.nan
    summary = pd.DataFrame(
        {"by": ["directions", "activations"], "mean": 0.5, "sd": 0.1, "null": 0.1, "random_sae": [0.3, 0.2]}
    )
    ax = cm.pl.stability(SeedStability(pd.concat(tables), summary, (0.8, 0.9)))
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["directions", "directions, chance", "activations", "activations, chance"]
    points = [
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]), line.get_marker()) for line in ax.lines
    ]
    medians = [x for x, _, marker in points if marker == "o"]
    assert medians[0] == np.nanmedian(tables[0]["stability"])
    assert medians[1] == 0.1
    assert [(x, y) for x, y, marker in points if marker == "D" and np.isfinite(x)] == [(0.3, 0), (0.2, 2)]
    assert ax.get_xlim() == (0, 1)
    plt.close("all")
