"""What the author of a plug-in runs: pytest in this folder."""

import conceptome as cm
from random_projection import RandomProjection


def test_keeps_the_contract():
    adata = cm.data.demo()
    report = cm.testing.check_encoder(RandomProjection.fit(adata), adata)
    assert not report.skipped
