import tomllib
from dataclasses import asdict, fields

import pytest

from conceptome.core import InputError
from conceptome.pipeline import RunConfig, build_config, field_documentation


def test_every_field_is_documented():
    assert set(field_documentation()) == {field.name for field in fields(RunConfig)}
    assert all(text.endswith(".") for text in field_documentation().values())


def test_toml_round_trip_is_the_identity(tmp_path):
    config = RunConfig(data="a.h5ad", out="r", label_key=("x", "y"), caliper=0.5, match_on=("donor",))
    path = tmp_path / "c.toml"
    path.write_text(config.to_toml())
    assert build_config({}, toml=path) == config
    assert "batch_key" not in tomllib.loads(path.read_text())


def test_explicit_options_win_over_the_file(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('data = "a.h5ad"\nout = "r"\nseed = 3\nlabel_key = "cell_type"\ncaliper = 1\n')
    config = build_config({"seed": 4}, toml=path)
    assert (config.seed, config.label_key, config.caliper) == (4, ("cell_type",), 1.0)
    assert isinstance(config.caliper, float)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (1, "tcp://x:1")),
        ({"dask": "tcp://y:1"}, (1, "tcp://y:1")),
        ({"workers": 2}, (2, None)),
        ({"workers": 1}, (1, None)),
    ],
)
def test_workers_asked_for_replace_those_of_the_file(tmp_path, options, expected):
    path = tmp_path / "c.toml"
    path.write_text('data = "a.h5ad"\nout = "r"\ndask = "tcp://x:1"\n')
    config = build_config(options, toml=path)
    assert (config.workers, config.dask) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_pairs": 0}, "n_pairs is 0, expected at least 1."),
        ({"n_seeds": 0}, "n_seeds is 0, expected at least 1."),
        ({"n_pairs": 4}, "n_pairs is 4 and min_pairs 8: no concept could have enough."),
        ({"caliper": 0.0}, "caliper is 0.0, expected a difference of log library size above 0, such as 0.5."),
        ({"seed": 2**32}, "seed is 4294967296, expected less than 2**32."),
        ({"k": 9, "n_concepts": 4}, "k is 9 and n_concepts 4: a cell cannot activate more than there are."),
        ({"device": "tpu"}, "device is 'tpu', expected one of cpu, cuda."),
        ({"sampling": "best"}, "sampling is 'best', expected one of stratified, top."),
        ({"seed": "one"}, "seed is 'one', expected a whole number."),
        ({"seed": True}, "seed is True, expected a whole number."),
        ({"n_concepts": 1.5}, "n_concepts is 1.5, expected a whole number or nothing."),
        ({"label_key": [1]}, "label_key is [1], expected a list of texts."),
        ({"min_size": 20, "max_size": 10}, "min_size is 20 and max_size 10: no term can lie between them."),
    ],
)
def test_a_wrong_value_is_named(options, message):
    with pytest.raises(InputError) as error:
        build_config({"data": "a", "out": "r", **options})
    assert str(error.value) == message


def test_unknown_keys_are_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"^Unknown settings n_pair\. Known are .*n_pairs"):
        build_config({"data": "a", "out": "r", "n_pair": 3})


def test_what_is_missing_is_named():
    with pytest.raises(InputError, match=r"^Missing: data and out\. Give DATA\.h5ad first, "):
        build_config({})


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"cannot be read \(No such file or directory\)\. Check the path\.$"):
        build_config({}, toml=tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("data = ")
    with pytest.raises(InputError, match="is not valid TOML: "):
        build_config({}, toml=tmp_path / "bad.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not valid TOML: "):
        build_config({}, toml=tmp_path / "binary.toml")


def test_defaults_are_valid():
    assert asdict(RunConfig(data="a", out="b"))["gene_sets"] == ("immune-starter",)
