import re

import pandas as pd
import pytest

import conceptome as cm
from conceptome.core import InputError

COLUMNS = ["concept", "theme", "theme_term", "theme_name", "n_terms", "term", "similarity", "nes", "p"]
ROWS = [  # "killing" is a member of "immunity" in concept 2 and the other way round in concept 3
    (1, 0, "translation", "Translation", 1, "translation", 1.0, 2.0, 1e-9),
    (1, 1, "killing", "Killing", 1, "killing", 1.0, 2.1, 1e-4),
    (2, 0, "immunity", "Immunity", 2, "immunity", 1.0, 2.2, 1e-5),
    (2, 0, "immunity", "Immunity", 2, "killing", 0.6, 2.0, 1e-4),
    (2, 1, "translation", "Translation", 1, "translation", 1.0, -2.0, 1e-3),
    (3, 0, "translation", "Translation", 1, "translation", 1.0, 2.0, 1e-8),
    (3, 1, "killing", "Killing", 2, "killing", 1.0, 1.9, 1e-5),
    (3, 1, "killing", "Killing", 2, "immunity", 0.7, 1.8, 1e-4),
    (4, 0, "repair", "Repair", 1, "repair", 1.0, 1.8, 1e-4),
]


@pytest.fixture
def themes():
    frame = pd.DataFrame(ROWS, columns=COLUMNS)
    return frame.assign(collection="mine", basis="semantic similarity", q_global=frame["p"])


def test_representatives_within_each_others_themes_become_one(themes):
    shared = cm.enrichment.shared_themes(themes)
    assert list(shared.drop_duplicates("theme").sort_values("theme")["theme_term"]) == [
        "translation",  # of three concepts
        "killing",  # of two, before immunity, of one
        "repair",
    ]
    of_two = shared[shared["concept"] == 2]
    assert of_two[["theme_name", "term", "n_terms"]].to_numpy().tolist() == [
        ["Translation", "translation", 1],
        ["Killing", "immunity", 2],  # the concept's most significant term speaks first
        ["Killing", "killing", 2],
    ]
    assert len(shared) == len(themes)
    assert not {"similarity", "basis"} & set(shared.columns)


def test_the_most_similar_of_several_founders_takes_a_theme(themes):
    rows = [
        (5, 0, "killing", "Killing", 2, "lysis", 0.55, 1.9, 1e-5),
        (6, 0, "repair", "Repair", 2, "lysis", 0.80, 1.9, 1e-5),
        (7, 0, "lysis", "Lysis", 1, "lysis", 1.0, 1.9, 1e-5),
    ]
    more = pd.DataFrame(rows, columns=COLUMNS).assign(collection="mine", basis="", q_global=1e-5)
    shared = cm.enrichment.shared_themes(pd.concat([themes, more]))
    assert shared.set_index("concept").loc[7, "theme_term"] == "repair"


def test_the_order_of_rows_does_not_matter(themes):
    straight, shuffled = (
        cm.enrichment.shared_themes(rows) for rows in (themes, themes.sample(frac=1, random_state=0))
    )
    pd.testing.assert_frame_equal(straight, shuffled)


def test_unshared_themes_stay_as_they_were(themes):
    alone = themes[themes["concept"] == 2]
    shared = cm.enrichment.shared_themes(alone)
    assert list(shared["theme_term"].drop_duplicates()) == ["immunity", "translation"]


def test_another_table_is_refused(themes):
    expected = "expected the table of cm.enrichment.themes."
    message = f"The themes lack the columns ['theme_name', 'similarity']; {expected}"
    with pytest.raises(InputError, match=re.escape(message)):
        cm.enrichment.shared_themes(themes.drop(columns=["theme_name", "similarity"]))
