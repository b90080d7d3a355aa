import matplotlib.pyplot as plt
import numpy as np
import pytest

import conceptome as cm
from conceptome.dictionaries import concept_modules


@pytest.fixture
def record(demo_records):
    return concept_modules(demo_records.activations, labels=demo_records.adata.obs["cell_type"])


def test_the_map_is_ordered_by_module_and_names_them(record):
    ax = cm.pl.modules(record)
    drawn = np.asarray(ax.images[0].get_array())
    np.testing.assert_array_equal(drawn, record.correlation[np.ix_(record.shown, record.shown)])
    assert ax.images[0].get_clim()[0] == -ax.images[0].get_clim()[1]
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert len(names) == len(record.modules)
    for name, line in zip(names, record.modules.to_dict("records"), strict=True):
        label = f" · {line['label']}" if line["label_f1"] >= 0.3 else ""
        assert name == f"{line['module']}{label}" or name.endswith("…")
    sizes = record.modules["n_concepts"].to_numpy()
    np.testing.assert_allclose(ax.get_yticks(), np.cumsum(sizes) - sizes / 2 - 0.5)
    plt.close("all")
