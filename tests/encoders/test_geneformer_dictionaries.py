"""Where the dictionaries of a model are found, and which of them fit."""

import json
import pickle

import pytest

from conceptome.core import CheckpointError
from conceptome.encoders.geneformer_dictionaries import find_vocabulary

IDS = [f"ENSG{number:011d}" for number in range(1, 9)]
TOKENS = {"<pad>": 0, "<mask>": 1, **{gene: token + 2 for token, gene in enumerate(IDS)}}
MEDIANS = dict.fromkeys(IDS, 1.5)
MAPPING = {gene: gene for gene in IDS}


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "home" / "model"
    folder.mkdir(parents=True)
    return folder


def put(folder, suffix="_gc30M", *, as_json=False, **tables):
    folder.mkdir(parents=True, exist_ok=True)
    tables = {"token_dictionary": TOKENS, "gene_median_dictionary": MEDIANS, **tables}
    for name, table in tables.items():
        if as_json:
            (folder / f"{name}{suffix}.json").write_text(json.dumps(table))
        elif table is not None:
            (folder / f"{name}{suffix}.pkl").write_bytes(pickle.dumps(table))


def find(model, n_tokens=10):
    return find_vocabulary(model, n_tokens=n_tokens)


def refusal(model, n_tokens=10):
    with pytest.raises(CheckpointError) as caught:
        find(model, n_tokens)
    return str(caught.value)


@pytest.mark.parametrize(
    "place", [".", "dictionaries", "..", "../geneformer", "../geneformer/gene_dictionaries_30m"]
)
@pytest.mark.parametrize("as_json", [False, True])
def test_places(model, place, as_json):
    put(model / place, as_json=as_json, ensembl_mapping_dict=MAPPING, gene_name_id_dict={"TSPAN6": IDS[0]})
    found = find(model)
    assert (found.tokens, found.medians) == (TOKENS, MEDIANS)
    assert (found.mapping, found.symbols) == (MAPPING, {"TSPAN6": IDS[0]})


def test_mapping_and_symbols_may_be_missing(model):
    put(model, suffix="")
    found = find(model)
    assert (found.mapping, found.symbols, found.special) == (None, None, None)


def test_an_id_may_map_to_nothing(model):
    gaps = {IDS[1]: float("nan"), IDS[2]: None, float("nan"): IDS[3], None: IDS[4]}
    put(model, ensembl_mapping_dict={IDS[0]: IDS[0], **gaps})
    assert find(model).mapping == {IDS[0]: IDS[0]}


def test_the_nearer_ones_win(model):
    put(model / "..", gene_median_dictionary=dict.fromkeys(IDS, 9.0))
    put(model)
    assert find(model).medians == MEDIANS


def test_those_of_another_size_are_passed_over(model):
    put(model.parent / "geneformer", "_gc104M", token_dictionary={**TOKENS, "ENSG00000000099": 10})
    put(model.parent / "geneformer" / "gene_dictionaries_30m")
    assert len(find(model).tokens) == len(TOKENS)
    assert len(find(model, n_tokens=len(TOKENS) + 1).tokens) == len(TOKENS) + 1


def test_links_are_followed_as_downloads_store_them(model):
    put(model.parent / "blobs")
    for path in list((model.parent / "blobs").iterdir()):
        blob = path.rename(path.with_name(str(abs(hash(path.name)))))
        (model / path.name).symlink_to(blob)
    assert find(model).tokens == TOKENS


def test_none(model):
    assert refusal(model) == (
        f"{model} asks for 10 tokens, but no token dictionary near it has as many (found: none). Copy "
        "token_dictionary*, gene_median_dictionary* and ensembl_mapping_dict* of this model into it."
    )


def test_none_that_fits(model):
    put(model)
    found = f"(found: {model / 'token_dictionary_gc30M.pkl'} with 10)"
    assert found in refusal(model, n_tokens=25_426)


def test_several_that_fit(model):
    put(model, "_a")
    put(model / "b", "_b")
    one, other = model / "b" / "token_dictionary_b.pkl", model / "token_dictionary_a.pkl"
    assert refusal(model) == (
        f"Several token dictionaries have the 10 tokens of {model}: {one}, {other}. Copy the dictionaries "
        "that were published with the model into its folder."
    )


def test_two_forms_of_one(model):
    put(model)
    put(model, as_json=True, token_dictionary={"<pad>": 0})
    assert refusal(model) == (
        f"{model} holds both gene_median_dictionary_gc30M.pkl and gene_median_dictionary_gc30M.json. Keep "
        "one of them."
    )


def test_no_medians(model):
    put(model, gene_median_dictionary=None)
    put(model, "_gc95M", token_dictionary=None)
    file = model / "token_dictionary_gc30M.pkl"
    assert (
        refusal(model)
        == f"{file} needs gene_median_dictionary_gc30M (.pkl or .json) beside it. Copy it there."
    )


@pytest.mark.parametrize(
    ("tables", "what"),
    [
        ({"token_dictionary": {**TOKENS, IDS[0]: 3}}, "does not number its 10 tokens from 0 to 9, each once"),
        ({"token_dictionary": {**TOKENS, IDS[0]: "x"}}, f"should hold int only, but not so for {IDS[0]}"),
        ({"gene_median_dictionary": {**MEDIANS, IDS[0]: 0.0}}, f"the medians of {IDS[0]} are not above 0"),
        ({"gene_median_dictionary": {**MEDIANS, IDS[0]: float("nan")}}, f"the medians of {IDS[0]} are not"),
        ({"gene_median_dictionary": {"ENSG00000000099": 1.0}}, "no gene has both a token and a median"),
    ],
)
def test_dictionaries_that_do_not_fit(model, tables, what):
    put(model, **tables)
    assert what in refusal(model)


@pytest.mark.parametrize("special", [["<cls>"], ["<eos>"], ["<cls>", "<eos>"]])
def test_special_tokens_come_together(model, special):
    names = ["<pad>", "<mask>", *special, *IDS]
    put(model, token_dictionary={name: token for token, name in enumerate(names)})
    if len(special) == 2:
        assert find(model, n_tokens=12).special == (2, 3)
    else:
        assert "'<cls>' and '<eos>' together or not at all" in refusal(model, n_tokens=11)


def test_padding_is_token_0(model):
    put(model, token_dictionary={**TOKENS, "<pad>": 1, "<mask>": 0})
    assert "needs '<pad>' with the number 0" in refusal(model)
