"""Encoders that keep the contract, and for every promise encoders that break it."""

from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import conceptome as cm
from conceptome.core import Embeddings, HiddenLayer, InputError, NotEditableError, content_id
from conceptome.data import align
from conceptome.encoders import LinearOptions, PrecomputedEncoder, ScviEncoder, reencode_edits
from conceptome.encoders.storage import load_folder, save_folder
from conceptome.testing import ContractError, ContractReport, check_encoder


class Good:
    """A random projection of the square roots of counts."""

    name, d_embed, decoder = "good", 6, None

    def __init__(self, genes, seed=0):
        self.genes = pd.Index(genes, dtype=object)
        self.weights = np.random.default_rng(seed).normal(size=(len(genes), self.d_embed))
        self.encoder_id = content_id({"genes": list(genes)}, {"weights": self.weights})

    def values(self, adata):
        columns = align(self.genes, adata).columns
        counts = np.where(columns >= 0, self.expression(adata).toarray()[:, columns], 0.0)
        return np.sqrt(counts) @ self.weights

    def embed(self, adata, *, batch_size=4096, device="cpu"):
        return Embeddings(self.values(adata), adata.obs_names, self.encoder_id, self.name)

    def expression(self, adata):
        return sp.csr_array(adata.X, dtype=np.float64)

    def known(self, adata):
        return align(self.genes, adata).known

    def embed_edits(self, cells, edits, *, batch_size=4096, device="cpu"):
        return reencode_edits(self, cells, edits, batch_size=batch_size, device=device)

    def save(self, path):
        save_folder(path, {"encoder": "good", "genes": list(self.genes)}, {"weights": self.weights})

    @classmethod
    def load(cls, path):
        config, arrays = load_folder(path, "good")
        encoder = cls(config["genes"])
        encoder.weights = arrays["weights"]
        encoder.encoder_id = content_id({"genes": config["genes"]}, arrays)
        return encoder


@pytest.fixture(scope="module")
def adata():
    return cm.data.demo()[::10].copy()


@pytest.fixture
def genes(adata):
    """All but the last few columns: the data have genes that the encoder does not know."""
    return adata.var_names[:-7]


def test_a_good_encoder_keeps_everything(genes, adata):
    report = check_encoder(Good(genes), adata)
    assert isinstance(report, ContractReport)
    assert str(report) == "good keeps all 17 promises that were checked."
    assert not report.failures
    assert not report.skipped


def test_the_linear_encoder_keeps_everything(adata):
    assert len(check_encoder(cm.encoders.fit("linear", adata), adata).kept) == 17


@pytest.mark.parametrize("model", ["A", "B", "C"])
def test_models_of_scvi_tools_keep_everything(shared, model):
    folder = shared / "fixtures/scvi_tiny"
    for name in ("train", "query_missing_genes"):
        cells = ad.read_h5ad(folder / f"{name}.h5ad")
        assert len(check_encoder(ScviEncoder.load(folder / f"model_{model}"), cells).kept) == 17


def test_a_finished_embedding_may_refuse_edits(adata):
    cells = adata.copy()
    cells.obsm["X_pca"] = np.random.default_rng(0).normal(size=(cells.n_obs, 5))
    report = check_encoder(PrecomputedEncoder("X_pca"), cells)
    assert "editable" in report.kept
    assert set(report.skipped) == {"expression", "known", "noop", "edits", "edits_untouched", "edit_batches"}
    assert report.skipped["edits"].startswith("obsm['X_pca'] is a finished embedding.")


def test_edits_that_mean_something_else_are_skipped_by_name(adata):
    normalised = cm.encoders.fit("linear", adata, options=LinearOptions(n_components=5, edit="normalised"))
    with pytest.raises(ContractError):
        check_encoder(normalised, adata)
    report = check_encoder(normalised, adata, skip=("expression", "known", "edits"))
    assert {"noop", "edit_batches"} <= set(report.kept)


def test_refuses_too_few_cells(genes, adata):
    with pytest.raises(InputError) as caught:
        check_encoder(Good(genes), adata[:1].copy())
    assert str(caught.value) == "The number of cells to check with is 1, expected at least 2."


class NoName(Good):
    name = ""


class NoSave(Good):
    save = None


class ListOfGenes(Good):
    def __init__(self, genes):
        super().__init__(genes)
        self.genes = list(genes)


class RepeatsGene(Good):
    def __init__(self, genes):
        super().__init__([*genes, genes[0]])


class Narrow(Good):
    def values(self, adata):
        return super().values(adata)[:, :-1]


class NotANumber(Good):
    def values(self, adata):
        values = super().values(adata)
        values[0, 0] = np.nan
        return values


class Half(Good):
    def values(self, adata):
        return super().values(adata).astype(np.float16)


class OtherOrder(Good):
    def embed(self, adata, *, batch_size=4096, device="cpu"):
        return Embeddings(self.values(adata), adata.obs_names[::-1], self.encoder_id, self.name)


class OtherIdentity(Good):
    def embed(self, adata, *, batch_size=4096, device="cpu"):
        return Embeddings(self.values(adata), adata.obs_names, "?", self.name)


class Random(Good):
    rng = np.random.default_rng(0)

    def values(self, adata):
        return super().values(adata) + self.rng.normal(size=(adata.n_obs, self.d_embed))


class Renames(Good):
    def embed(self, adata, *, batch_size=4096, device="cpu"):
        self.encoder_id += "1"
        return super().embed(adata)


class BatchSizeMatters(Good):
    def embed(self, adata, *, batch_size=4096, device="cpu"):
        values = self.values(adata) * (1 + (batch_size == 7))
        return Embeddings(values, adata.obs_names, self.encoder_id, self.name)


class CellsMatter(Good):
    """Centre the cells of the call, as CellPLM's attention over cells does in effect."""

    def values(self, adata):
        values = super().values(adata)
        return values - values.mean(axis=0)


class ColumnsByPosition(Good):
    def values(self, adata):
        return np.sqrt(self.expression(adata).toarray()[:, : len(self.genes)]) @ self.weights


class WritesObs(Good):
    def values(self, adata):
        adata.obs["n_counts"] = 1
        return super().values(adata)


class NormalisesInPlace(Good):
    def embed_edits(self, cells, edits, *, batch_size=4096, device="cpu"):
        found = super().embed_edits(cells, edits)
        cells.X.data /= 2
        return found


class WritesEdits(Good):
    def embed_edits(self, cells, edits, *, batch_size=4096, device="cpu"):
        found = super().embed_edits(cells, edits)
        edits.values[:] = 0
        return found


class Mirror:
    """A decoder that can be told what to do wrong."""

    def __init__(self, genes, returned):
        self.genes, self.returned = genes, returned

    def expression(self, embedding, cells):
        return self.returned(np.repeat(embedding[:, :1], len(self.genes), axis=1))


class DecodesTooFew(Good):
    @property
    def decoder(self):
        return Mirror(self.genes, lambda values: values[:, :3])


class DecodesNan(Good):
    @property
    def decoder(self):
        return Mirror(self.genes, lambda values: values * np.nan)


class DecodesTogether(Good):
    @property
    def decoder(self):
        return Mirror(self.genes, lambda values: values / values.sum())


class NoDecoderMethod(Good):
    decoder = "none"


class NoLoad(Good):
    load = None


class ForgetsWeights(Good):
    @classmethod
    def load(cls, path):
        config, _ = load_folder(path, "good")
        return cls(config["genes"], seed=1)


class Pickles(Good):
    def save(self, path):
        super().save(path)
        (path / "weights.safetensors").rename(path / "weights.pkl")

    @classmethod
    def load(cls, path):
        (path / "weights.pkl").rename(path / "weights.safetensors")
        return super().load(path)


class RefusesHalf(Good):
    def embed_edits(self, cells, edits, *, batch_size=4096, device="cpu"):
        msg = "no"
        raise NotEditableError(msg)


class KnowsNothing(Good):
    def known(self, adata):
        return np.zeros(adata.n_vars, dtype=bool)


class DenseExpression(Good):
    def values(self, adata):
        return np.sqrt(np.asarray(self.expression(adata))[:, : len(self.genes)]) @ self.weights

    def expression(self, adata):
        return adata[:, self.genes].X.toarray()


class OtherUnits(Good):
    def values(self, adata):
        columns = align(self.genes, adata).columns
        return np.where(columns >= 0, adata.X.toarray()[:, columns], 0.0) @ self.weights

    def expression(self, adata):
        return sp.csr_array(np.log1p(adata.X.astype(np.float64)))


class KnowsAll(Good):
    def known(self, adata):
        return np.ones(adata.n_vars, dtype=bool)


class KnowsTooFew(Good):
    def known(self, adata):
        mask = super().known(adata)
        mask[:20] = False
        return mask


class TotalOfAllGenes(Good):
    """Scale by the total of all columns, also of those that it says it does not read."""

    def values(self, adata):
        return super().values(adata) / np.sqrt(np.asarray(adata.X.sum(axis=1)).reshape(-1, 1))


class KnownAsPositions(Good):
    def known(self, adata):
        return np.flatnonzero(super().known(adata))


class NoopMoves(Good):
    def embed_edits(self, cells, edits, *, batch_size=4096, device="cpu"):
        return super().embed_edits(cells, edits) + (np.diff(edits.indptr) == 0)[:, None]


class SetsTwice(Good):
    def embed_edits(self, cells, edits, *, batch_size=4096, device="cpu"):
        found = super().embed_edits(cells, edits)
        moved = found - self.values(cells)[edits.cells]
        return found + moved


class SinglePrecision(Good):
    def embed_edits(self, cells, edits, *, batch_size=4096, device="cpu"):
        return super().embed_edits(cells, edits).astype(np.float32)


class EditsMeet(Good):
    def embed_edits(self, cells, edits, *, batch_size=4096, device="cpu"):
        found = super().embed_edits(cells, edits)
        return found + (batch_size == 5)


class Shallow(Good):
    """One hidden layer, its second unit always on."""

    def __init__(self, genes, seed=0):
        super().__init__(genes, seed)
        self.by_gene = np.abs(self.weights[:, :2]) * [-1, 1]
        self.readout = self.weights[:2]

    def first(self, adata):
        columns = align(self.genes, adata).columns
        counts = np.where(columns >= 0, self.expression(adata).toarray()[:, columns], 0.0)
        return np.log1p(counts) @ self.by_gene + 50

    def values(self, adata):
        return np.maximum(self.first(adata), 0) @ self.readout

    def hidden_layer(self, cells):
        column = np.full(cells.n_vars, -1)
        present = align(self.genes, cells).columns
        column[present[present >= 0]] = np.flatnonzero(present >= 0)
        return HiddenLayer(self.first(cells), self.by_gene, column, self.readout, np.zeros(6), True)


class ForgetsTheLog(Shallow):
    def hidden_layer(self, cells):
        return replace(super().hidden_layer(cells), log1p=False)


def test_an_encoder_with_a_hidden_layer_keeps_everything(genes, adata):
    assert "hidden_layer" in check_encoder(Shallow(genes), adata).kept


BROKEN = {
    ForgetsTheLog: ("hidden_layer", "hidden_layer() is not what embed_edits() computes: it differs by "),
    NoName: ("members", "name is '', expected a text."),
    NoSave: ("members", "there is no method save()."),
    ListOfGenes: ("members", "genes is list, expected a pandas Index of names."),
    RepeatsGene: ("members", "genes lists 'HES4' more than once."),
    Narrow: ("embedding", "embed() returns values of shape (70, 5), expected cells x d_embed = (70, 6)."),
    NotANumber: ("embedding", "embed() returns NaN or infinite values."),
    Half: ("embedding", "embed() returns float16, expected float32 or float64."),
    OtherOrder: ("embedding", "embed() returns other cell_ids than adata.obs_names, or in another order."),
    OtherIdentity: ("embedding", "embed() names the encoder 'good' (?), expected 'good' ("),
    Random: ("repeatable", "embedding the same cells twice does not give the same: it differs by "),
    Renames: ("repeatable", "encoder_id changes from call to call. Hash weights and settings, once."),
    BatchSizeMatters: ("batch_size", "with batch_size=7 the embedding is another: it differs by "),
    CellsMatter: ("single_cells", "a cell embedded alone gets another embedding: it differs by "),
    ColumnsByPosition: (
        "gene_order",
        "with the genes in another order the embedding is another: it ",
    ),
    WritesObs: ("untouched", "embed() changes the caller's AnnData in obs. Copy before writing."),
    NormalisesInPlace: (
        "edits_untouched",
        "the editing methods change the caller's AnnData in X. Copy before",
    ),
    WritesEdits: ("edits_untouched", "embed_edits() changes the arrays of the edits. Copy before writing."),
    DecodesTooFew: ("decoder", "decoder.expression() has shape (16, 3), expected cells x genes = (16, 758)."),
    DecodesNan: ("decoder", "decoder.expression() returns NaN or infinite values."),
    DecodesTogether: ("decoder", "decoder.expression() of a cell depends on the other cells of the call."),
    NoDecoderMethod: ("decoder", "decoder lacks expression(embedding, cells), or genes as a pandas Index."),
    NoLoad: ("saving", "the class has no load(path) that reads what save(path) wrote."),
    ForgetsWeights: ("saving", "loaded again it embeds otherwise: it differs by "),
    Pickles: ("saving", "save() does not write weights.safetensors."),
    RefusesHalf: ("editable", "NotEditableError comes from embed_edits() only. Let expression(), known() "),
    KnowsNothing: ("editable", "known() knows no gene of the cells, so nothing can be edited."),
    DenseExpression: (
        "expression",
        "expression() returns ndarray (16, 758) of float32, expected a CSR ",
    ),
    OtherUnits: ("expression", "cells made of expression() are embedded otherwise: it differs by "),
    KnowsAll: ("known", "known() is True for a gene named 'no-such-gene'. Look genes up by name."),
    KnowsTooFew: (
        "known",
        "embed() reads genes that known() says it does not: after an edit of them it differs",
    ),
    TotalOfAllGenes: (
        "known",
        "embed() reads genes that known() says it does not: after an edit of them it differs",
    ),
    KnownAsPositions: (
        "known",
        "known() returns int64 (758,), expected one bool for each of the 765 columns.",
    ),
    NoopMoves: ("noop", "an edit without genes does not give the cell's own embedding: it differs by "),
    SetsTwice: ("edits", "embed_edits() is not what embed() says of the edited cells: it differs by "),
    SinglePrecision: ("edits", "embed_edits() returns float32, expected float64."),
    EditsMeet: ("edit_batches", "embed_edits() with batch_size=5 gives another result: it differs by "),
}


ALSO = {ColumnsByPosition: {"known"}, NoopMoves: {"edits"}}
"""Promises that break together with the first."""


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_says_which_promise_is_broken(kind, genes, adata):
    promise, sentence = BROKEN[kind]
    with pytest.raises(ContractError) as caught:
        check_encoder(kind(genes), adata.copy())
    failures = caught.value.report.failures
    assert set(failures) == {promise} | ALSO.get(kind, set())
    assert any(found.startswith(sentence) for found in failures[promise]), failures[promise]


def test_says_what_depending_on_other_cells_means(genes, adata):
    with pytest.raises(
        ContractError, match="It depends on the other cells of the call, as with CellPLM; an edit"
    ):
        check_encoder(CellsMatter(genes), adata)
