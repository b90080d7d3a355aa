"""Perturbation checks from cells to tables, on cells whose genes are known to depend on one another."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import conceptome as cm
from conceptome.core import InputError

N = 900
GENES = [f"G{i}" for i in range(100)]
FOLLOWERS = {"G0": range(1, 6), "G8": range(9, 14)}


@pytest.fixture(scope="module")
def screen():
    """Cells in which two regulators raise five genes each; knocked out, neither is there."""
    rng = np.random.default_rng(0)
    guide = rng.choice(["none", "G0", "G8", "unmeasured"], p=[0.55, 0.15, 0.15, 0.15], size=N)
    rate = np.full((N, len(GENES)), 4.0)
    for regulator, followers in FOLLOWERS.items():
        level = np.where(guide == regulator, 0.0, rng.gamma(2.0, 1.0, N))
        rate[:, GENES.index(regulator)] = 4 * level
        rate[:, list(followers)] *= level[:, None]
    obs = pd.DataFrame(
        {"guide": guide, "batch": rng.choice(["a", "b"], N)}, index=[f"c{i}" for i in range(N)]
    )
    adata = AnnData(rng.poisson(rate).astype(np.float32), obs=obs, var=pd.DataFrame(index=GENES))
    encoder = cm.encoders.fit("linear", adata, options=cm.encoders.LinearOptions(n_components=6), seed=0)
    dictionary = cm.dictionaries.PcaDictionary.fit(encoder.embed(adata))
    return adata, encoder, dictionary


@pytest.fixture(scope="module")
def check(screen):
    return cm.evaluation.check_perturbations(
        *screen, key="guide", control="none", block_key="batch", n_permutations=299, n_null=19
    )


def test_concepts_fall_with_the_gene_that_drives_them(check):
    direct = check.direct.set_index("score")
    assert direct.loc["knockout", "agreement"] == 1.0
    assert direct.loc["drivers", "agreement"] > 0.8
    assert direct.loc["knockout", "within"] > 0.8 > direct.loc["random", "within"]
    assert direct.loc["level", "within"] == 0.5
    indirect = check.indirect.set_index("score")
    assert indirect.loc["attribution", "agreement"] == 1.0
    assert indirect.loc["attribution", "push"] > 0.9


def test_guides_that_do_nothing_or_are_not_measured_are_told(check):
    targets = check.targets.set_index("gene")
    assert targets["measured"].to_dict() == {"G0": True, "G8": True, "unmeasured": False}
    assert targets.loc["unmeasured", ["level", "own_change", "n_moving", "n_driven", "n_unseen"]].isna().all()
    assert (targets.loc[["G0", "G8"], "own_change"] < -3).all()
    assert (targets.loc[["G0", "G8"], "n_driven"] > 0).all()
    assert (targets.loc[["G0", "G8"], "n_unseen"] > 0).all()  # the followers are still seen
    moved = check.shifts[check.shifts["q"] <= 0.05]
    assert set(moved["perturbation"]) == {"G0", "G8"}
    responding = check.responses[check.responses["perturbation"] == "G0"]
    fallen = set(responding.loc[responding["change"] < 0, "gene"])
    assert {"G0", *(GENES[i] for i in FOLLOWERS["G0"])} <= fallen


def test_gene_scores_never_see_a_perturbed_cell(screen, check):
    adata, encoder, dictionary = screen
    changed = adata.copy()
    perturbed = (adata.obs["guide"] != "none").to_numpy()
    changed.X[perturbed] = changed.X[perturbed][:, ::-1]
    again = cm.evaluation.check_perturbations(
        *(changed, encoder, dictionary),
        key="guide",
        control="none",
        block_key="batch",
        n_permutations=19,
        n_null=1,
    )
    assert again.not_attributable == check.not_attributable
    levels = [each.targets.set_index("gene")["level"].dropna() for each in (check, again)]
    pd.testing.assert_series_equal(*levels)
    assert (again.shifts["auroc"] != check.shifts["auroc"]).any()


def test_published_responses_take_the_place_of_measured_ones(screen):
    published = pd.DataFrame({"perturbation": "G0", "gene": ["G1", "G2", "G3", "G4"], "change": -2.5})
    found = cm.evaluation.check_perturbations(
        *screen,
        key="guide",
        control="none",
        targets={},
        responses=published,
        n_permutations=99,
        n_null=9,
    )
    assert found.responses is published
    assert found.targets.empty
    assert found.direct["n"].eq(0).all()
    assert found.indirect["n_perturbations"].eq(1).all()


def test_a_missing_column_is_told(screen):
    with pytest.raises(InputError) as missing:
        cm.evaluation.check_perturbations(*screen, key="guides", control="none")
    assert str(missing.value) == "obs has no column 'guides'; it has guide, batch. Did you mean 'guide'?"
