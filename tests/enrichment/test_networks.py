import numpy as np
import pytest

from conceptome.core import InputError
from conceptome.enrichment import read_network


def read(tmp_path, text, name="net.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_network(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read as a table (Could not determine delimiter). Give a .csv or .tsv."),
        (
            "source,target,weight\nA,b,inf\nA,c,1\n",
            "1 edges have a weight that is no finite number; expected such as 1, -1 or 0.5.",
        ),
        (
            "source,target\nA,b,1\nA,c,1\n",
            "has more fields in its rows than names in its first line (source, target). Name every column.",
        ),
        (
            "source,target\n,b\nA,\nA,c\n",
            "2 edges have no source or no target. Leave them out.",
        ),
    ],
    ids=["empty", "infinite", "ragged", "nameless"],
)
def test_tables_that_are_no_network_are_refused(tmp_path, text, message):
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    assert message in str(error.value)


def test_separators_line_ends_and_names_of_columns(tmp_path):
    for number, separator in enumerate([",", "\t", ";"]):
        text = "\r\n".join(
            separator.join(row) for row in [("tf", "gene", "mor"), ("NA", "b", "-1"), ("C", "d", "2")]
        )
        found = read(tmp_path, text, f"n{number}.csv")
        assert (found.terms, found.members, found.weights) == (
            ("NA", "C"),
            (("b",), ("d",)),
            ((-1.0,), (2.0,)),
        )
    assert np.ravel(read(tmp_path, "source,target\nA,b\n").weights) == [1.0]
