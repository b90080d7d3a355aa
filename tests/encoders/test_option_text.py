from dataclasses import dataclass
from typing import Literal

import pytest

from conceptome import encoders
from conceptome.core import InputError
from conceptome.encoders import LinearOptions, ScgptOptions
from conceptome.encoders.option_text import read_options


@dataclass(frozen=True)
class Options:
    layer: int = -1
    share: float = 0.5
    name: str | None = "a"
    fast: bool = False
    kind: Literal["cls", "mean"] = "cls"


def test_reads_every_kind():
    texts = ["layer=3", "share=1e-2", "name=none", "fast=yes", "kind=mean"]
    assert read_options(Options, texts) == Options(3, 0.01, None, fast=True, kind="mean")
    assert read_options(Options, ["name=b=c"]).name == "b=c"
    assert read_options(Options, []) == Options()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["layer"], "The encoder option 'layer' has no value. Write NAME=VALUE, such as layer=..."),
        (["layer=x"], "The encoder option layer is 'x', expected a whole number."),
        (["layer=1.5"], "The encoder option layer is '1.5', expected a whole number."),
        (["share=much"], "The encoder option share is 'much', expected a number."),
        (["fast=perhaps"], "The encoder option fast is 'perhaps', expected true or false."),
        (["layer=1", "layer=2"], "The encoder option 'layer' is given twice. Give it once."),
        (
            ["layers=1"],
            "The encoder has no option 'layers'; it has layer, share, name, fast, kind. "
            "Did you mean 'layer'?",
        ),
    ],
)
def test_refuses(texts, message):
    with pytest.raises(InputError) as caught:
        read_options(Options, texts)
    assert str(caught.value) == message


def test_by_the_name_of_the_encoder():
    assert encoders.parse_options("linear", ["n_components=7"]) == LinearOptions(n_components=7)
    assert encoders.parse_options("scgpt", ["layer=2", "gene_key=symbol"]) == ScgptOptions(
        layer=2, gene_key="symbol"
    )
    assert encoders.parse_options("scgpt", []) is None
    with pytest.raises(InputError) as caught:
        encoders.parse_options("obsm", ["layer=2"])
    assert str(caught.value) == "The encoder 'obsm' has no options, found layer=2. Leave them out."


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("linear", "target_sum=-5", "target_sum is -5.0, expected a number above 0."),
        ("linear", "n_components=0", "n_components is 0, expected at least 1."),
        ("scvi", "n_latent=0", "n_latent is 0, expected at least 1."),
        ("scvi", "max_epochs=0", "max_epochs is 0, expected at least 1."),
        ("scvi", "learning_rate=nan", "learning_rate is nan, expected a number above 0."),
    ],
)
def test_values_that_make_no_sense(name, text, message):
    with pytest.raises(InputError) as caught:
        encoders.parse_options(name, [text])
    assert str(caught.value) == message
