import pandas as pd
import pytest

from conceptome import plotting
from conceptome.core import InputError


def table(n_findings):
    rows = [
        (concept, "random", share, repeat, n_findings, n_findings, round(n_findings * share))
        for concept in (0, 1)
        for share in (0.9, 0.5, 0.25)
        for repeat in (0, 1)
    ]
    rows += [
        (concept, "no electronic", 0.6, 0, n_findings, n_findings, n_findings // 2) for concept in (0, 1)
    ]
    columns = ["concept", "thinning", "share", "repeat", "n_findings", "n_tested", "n_survived"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(survival=frame["n_survived"] / max(n_findings, 1), n_new=0)


def test_curves_by_concept_and_together():
    ax = plotting.completeness(table(20))
    thin, thick, point = ax.lines[0], ax.lines[2], ax.lines[3]
    assert list(thin.get_xdata()) == [0.25, 0.5, 0.9, 1.0]
    assert list(thick.get_ydata()) == [0.25, 0.5, 0.9, 1.0]
    assert (point.get_xdata()[0], point.get_ydata()[0]) == (0.6, 0.5)
    assert [text.get_text() for text in ax.texts] == ["no electronic"]


def test_nothing_to_survive_is_said():
    with pytest.raises(InputError) as error:
        plotting.completeness(table(0))
    assert str(error.value) == (
        "No concept has a finding with all annotations; there is nothing that could survive thinning."
    )
