import numpy as np
import pandas as pd

from conceptome.pipeline.summary import list_themes, survival


def test_survival_is_the_mean_over_draws_with_three_quarters_of_the_annotations():
    rows = [(0, 0.75, 0.5), (0, 0.75, 0.75), (0, 0.5, 0.1), (1, 0.75, np.nan), (2, 0.75, 1.0)]
    found = survival(pd.DataFrame(rows, columns=["concept", "share", "survival"]))
    assert found.to_dict("list") == {"concept": [0, 2], "survival_75": [0.625, 1.0]}
    assert list(survival(None).columns) == ["concept", "survival_75"]


def test_themes_of_suspect_terms_come_last_and_opposing_ones_in_parentheses():
    rows = [
        (3, 0, "translation", 2.0, "ribosomal"),
        (3, 0, "translation", 1.9, ""),
        (3, 1, "B cell activation", 1.5, ""),
        (3, 2, "respiration", -1.7, "mitochondrial"),
    ]
    themes = pd.DataFrame(rows, columns=["concept", "theme", "theme_name", "es", "flag"])
    assert list_themes(themes)["themes"].item() == "translation;B cell activation;(respiration)"
    last = list_themes(themes, frozenset({"ribosomal"}))["themes"].item()
    assert last == "B cell activation;(respiration);translation"
