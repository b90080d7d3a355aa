import pytest

from conceptome.data.wording import did_you_mean, nearest, some


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], "none"),
        (["a"], "a"),
        (list("abcde"), "a, b, c, d, e"),
        (list("abcdefg"), "a, b, c, d, e and 2 more"),
    ],
)
def test_some_lists_the_first_and_counts_the_rest(names, text):
    assert some(names) == text


def test_nearest_ignores_case_and_finds_nothing_far_away():
    assert nearest("celltype", ["donor", "Cell_Type"]) == "Cell_Type"
    assert nearest("condition", ["louvain", "phase"]) == ""


def test_did_you_mean_is_a_sentence_or_nothing():
    assert did_you_mean("donr", ["donor"]) == " Did you mean 'donor'?"
    assert did_you_mean("donr", ["phase"]) == ""
