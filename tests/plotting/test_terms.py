import dataclasses
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import conceptome as cm
from conceptome.core import InputError
from conceptome.plotting import terms


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_the_curve_reaches_the_enrichment_score_of_the_table(demo_records):
    table = demo_records.enrichment.table
    best = table[~table["no_signal"].astype(bool)].sort_values("p").iloc[0]
    scores = demo_records.attributions.scores().loc[best["concept"]]
    ax = cm.pl.running_sum(scores, demo_records.gene_sets.genes_of(best["term"]))
    curve, peak = ax.lines[1], ax.lines[2]
    assert np.max(np.abs(curve.get_ydata())) == pytest.approx(abs(best["es"]), abs=1e-9)
    assert peak.get_ydata()[0] == pytest.approx(best["es"], abs=1e-9)
    assert len(ax.collections[0].get_paths()) == best["size"]


def test_a_long_curve_is_thinned_without_losing_its_extremes():
    rng = np.random.default_rng(0)
    scores = pd.Series(rng.normal(size=5000), index=[f"g{i}" for i in range(5000)])
    members = list(rng.choice(scores.index, 60, replace=False))
    full = cm.enrichment.running_sum(scores, members)
    rank, value = terms._thin(full.rank, full.value)
    assert len(rank) <= 802
    assert (value.max(), value.min()) == (full.value.max(), full.value.min())
    assert (np.diff(rank) > 0).all()


def test_calibration_draws_each_control_at_its_rates(demo_records):
    ax = cm.pl.calibration(demo_records.enrichment)
    table = demo_records.enrichment.calibration
    _, names = ax.get_legend_handles_labels()
    assert names == list(dict.fromkeys(table["control"]))
    rate = table.loc[table["control"] == names[0], "rate"].to_numpy()
    drawn = np.asarray(ax.containers[0].lines[0].get_ydata(), dtype=np.float64)
    assert rate[0] > 0
    np.testing.assert_allclose(drawn[rate > 0], rate[rate > 0])


def test_an_enrichment_without_calibration_says_what_to_run(demo_records):
    bare = dataclasses.replace(demo_records.enrichment, calibration=pd.DataFrame())
    message = "This enrichment has no calibration table. Run cm.enrichment.gsea with calibrate=True."
    with pytest.raises(InputError, match=re.escape(message)):
        cm.pl.calibration(bare)
