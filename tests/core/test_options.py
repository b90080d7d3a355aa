import json
import subprocess
import sys

import pytest

from conceptome.core import InputError, require_at_least, require_choice, require_positive


def test_choices():
    require_choice("pairing", "nearest", ("distinct", "nearest"))
    with pytest.raises(InputError) as error:
        require_choice("pairing", "nearst", ("distinct", "nearest"))
    assert str(error.value) == "pairing is 'nearst', expected one of distinct, nearest."


@pytest.mark.parametrize(("value", "shown"), [(-1, "-1"), (float("nan"), "nan")])
def test_least(value, shown):
    require_at_least("seed", 0, 0)
    with pytest.raises(InputError) as error:
        require_at_least("seed", value, 0)
    assert str(error.value) == f"seed is {shown}, expected at least 0."


@pytest.mark.parametrize("value", [0, -1.5, float("inf"), float("nan")])
def test_positive(value):
    require_positive("target_sum", 1e-300)
    with pytest.raises(InputError) as error:
        require_positive("target_sum", value)
    assert str(error.value) == f"target_sum is {value}, expected a number above 0."


CALLS = {
    "attribute(None, None, None, None, aggregate='mean')": (
        "aggregate is 'mean', expected one of relative, pre."
    ),
    "attribute(None, None, None, None, intervention='ablate')": (
        "intervention is 'ablate', expected one of substitute, insert, mask, mean, gene_set, "
        "integrated_gradients, gradient."
    ),
    "effects(None, None, None, None, concept=0, intervention='gradient')": (
        "intervention is 'gradient', expected one of substitute, insert, mask, mean, gene_set."
    ),
    "DifferentialExpression.scores(None, by='t')": (
        "by is 't', expected one of wilcoxon, t_test, log_fold_change."
    ),
    "match(None, None, sampling='best')": "sampling is 'best', expected one of stratified, top.",
    "match(None, None, pairing='nearst')": "pairing is 'nearst', expected one of distinct, nearest.",
    "LinearOptions(edit='both')": "edit is 'both', expected one of values, normalised.",
    "ScviOptions(gene_likelihood='normal')": (
        "gene_likelihood is 'normal', expected one of nb, zinb, poisson."
    ),
    "ScgptOptions(pooling='mean')": "pooling is 'mean', expected one of cls, average, weighted.",
    "gsea(None, {}, rank_by='Z')": "rank_by is 'Z', expected one of z, attribution.",
}
SCRIPT = """
import json, sys
from conceptome.attribution import attribute, effects
from conceptome.core import DifferentialExpression, InputError
from conceptome.counterfactuals import match
from conceptome.encoders import LinearOptions, ScgptOptions, ScviOptions
from conceptome.enrichment import gsea

found = {}
for call in json.loads(sys.argv[1]):
    try:
        eval(call)
    except InputError as error:
        found[call] = str(error)
print(json.dumps(found))
"""


def test_closed_options_are_refused_where_no_annotation_is_checked():
    """In a process of its own: here the annotations are checked, for users they are not."""
    command = [sys.executable, "-c", SCRIPT, json.dumps(list(CALLS))]
    assert json.loads(subprocess.run(command, check=True, capture_output=True).stdout) == CALLS
