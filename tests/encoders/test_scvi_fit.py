import logging
import signal
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from conceptome import encoders
from conceptome.core import InputError, MissingExtraError
from conceptome.encoders import ScviEncoder, ScviOptions
from conceptome.testing import check_encoder

QUICK = ScviOptions(n_latent=4, n_hidden=16, max_epochs=3, batch_size=32)


@pytest.fixture
def fitted(make_cells):
    return ScviEncoder.fit(make_cells(200), batch_key="donor", seed=1, options=QUICK)


def test_the_same_seed_gives_the_same_encoder(fitted, make_cells):
    cells = make_cells(200)
    again = encoders.fit("scvi", cells, batch_key="donor", seed=1, options=QUICK)
    assert again.encoder_id == fitted.encoder_id
    assert (
        encoders.fit("scvi", cells, batch_key="donor", seed=2, options=QUICK).encoder_id != fitted.encoder_id
    )


def test_embeds_and_saves_what_scvi_tools_trained(make_cells, folder_of):
    """The latent means are those of scvi-tools itself, also through its own save."""
    import scvi

    cells = make_cells(200)
    settings = {"batch_key": "donor", "continuous_covariate_keys": ["age"]}
    scvi.model.SCVI.setup_anndata(cells, **settings)
    model = scvi.model.SCVI(cells, n_hidden=16, n_latent=4, n_layers=2, encode_covariates=True)
    model.train(max_epochs=2, accelerator="cpu", enable_progress_bar=False)
    expected = model.get_latent_representation()
    folder = folder_of(model)
    np.testing.assert_allclose(encoders.load("scvi", folder).embed(cells).values, expected, atol=1e-5)


def test_keeps_the_contract_of_encoders(fitted, make_cells):
    report = check_encoder(fitted, make_cells(200, seed=3))
    assert not report.skipped


def test_trains_on_a_copy(make_cells):
    cells = make_cells(200)
    before = cells.copy()
    ScviEncoder.fit(cells, batch_key="donor", options=QUICK)
    assert list(cells.obs) == list(before.obs)
    assert not cells.uns
    np.testing.assert_array_equal(cells.X.toarray(), before.X.toarray())


def test_puts_back_the_random_states_and_says_nothing(make_cells, caplog, capfd):
    # not that of `random`: the type checks of the tests draw from it
    states = [torch.get_rng_state(), np.random.get_state()[1].copy()]
    with caplog.at_level(logging.INFO):
        ScviEncoder.fit(make_cells(200), options=replace(QUICK, max_epochs=30, patience=1))
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])
    assert not caplog.messages
    assert capfd.readouterr() == ("", "")


def test_an_interrupt_stays_an_interrupt(make_cells, monkeypatch):
    import scvi

    def interrupt(*_):
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(scvi.train.TrainingPlan, "training_step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ScviEncoder.fit(make_cells(200), options=QUICK)
    assert signal.getsignal(signal.SIGINT) is handler


def test_the_most_frequent_batch_is_the_reference(fitted, make_cells):
    donors = make_cells(200).obs["donor"]
    (covariate,) = fitted.architecture.covariates
    assert (covariate.key, covariate.reference) == ("donor", donors.value_counts().index[0])


def test_keeps_all_genes_that_have_counts(make_cells):
    cells = make_cells(200)
    cells.X = cells.X.toarray() * (np.arange(cells.n_vars) != 7)
    encoder = ScviEncoder.fit(cells, options=QUICK)
    assert list(encoder.genes) == list(cells.var_names.delete(7))
    assert not encoder.known(cells)[7]


def test_training_improves_the_separation_of_real_cells():
    """Latent means of cells of one type lie together: neighbours vote for the right one of ten types."""
    from sklearn.model_selection import cross_val_score
    from sklearn.neighbors import KNeighborsClassifier

    from conceptome.data import demo

    adata = demo()
    encoder = ScviEncoder.fit(adata, options=ScviOptions(n_hidden=64, max_epochs=15))
    values = encoder.embed(adata).values
    accuracy = cross_val_score(KNeighborsClassifier(15), values, adata.obs["cell_type"], cv=5).mean()
    assert accuracy > 0.75


def test_limits_the_epochs_by_the_number_of_cells():
    assert ScviOptions(max_epochs=7).epochs(100) == 7
    assert [ScviOptions().epochs(n) for n in (50, 2700, 10**6)] == [400, 28, 10]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"batch_key": "doner"},
            "obs has no column 'doner' (batch_key); it has donor, age. Did you mean 'donor'?",
        ),
        ({"device": "tpu"}, "Unknown device 'tpu'. Use one of cpu, cuda."),
    ],
)
def test_refuses_arguments_that_do_not_exist(make_cells, arguments, message):
    with pytest.raises(InputError) as caught:
        ScviEncoder.fit(make_cells(200), **arguments)
    assert str(caught.value) == message


def test_refuses_cells_without_a_batch(make_cells):
    cells = make_cells(200)
    cells.obs.loc[cells.obs_names[:3], "donor"] = None
    with pytest.raises(InputError) as caught:
        ScviEncoder.fit(cells, batch_key="donor", options=QUICK)
    assert str(caught.value) == "obs['donor'] (batch_key) is NaN in 3 cells. Give every cell a batch."


def test_refuses_too_few_cells(make_cells):
    with pytest.raises(InputError) as caught:
        ScviEncoder.fit(make_cells(19), options=QUICK)
    message = "Fitting scVI needs at least 20 cells, found 19. Load a fitted one."
    assert message in str(caught.value)


def test_says_how_to_install_scvi_tools(make_cells, monkeypatch):
    monkeypatch.setitem(sys.modules, "scvi", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'conceptome\[scvi\]'"):
        ScviEncoder.fit(make_cells(200), options=QUICK)
