import base64
import io
from urllib.parse import unquote

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import conceptome as cm
from conceptome.pipeline.report.theme_pictures import dots_picture, edges_picture


@pytest.fixture(scope="module")
def themes(demo_records):
    return cm.enrichment.themes(demo_records.enrichment_de)


def test_dots_are_a_small_image_with_names_above(themes):
    picture = dots_picture(themes, {int(themes["concept"].iloc[0]): "B cells"})
    image = Image.open(io.BytesIO(base64.b64decode(picture.uri.split(",")[1])))
    assert image.width / picture.width == pytest.approx(136 / 96, rel=0.01)
    assert len(picture.uri) < 250_000
    colours = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(int)
    blue, brown = (15, 107, 140), (180, 82, 27)  # the strongest dots and the ends of the key
    assert (np.abs(colours - blue).sum(axis=1) < 40).any()
    assert (np.abs(colours - brown).sum(axis=1) < 40).any()
    assert picture.alt == f"Themes of {themes['concept'].nunique():,} concepts with findings, as dots."
    unnamed = dots_picture(themes, {})
    assert unnamed.height < picture.height  # names of concepts stand above
    assert plt.get_fignums() == []


def test_edges_name_terms_and_genes(themes, demo_records):
    concept = int(themes["concept"].mode()[0])
    picture = edges_picture(themes, demo_records.de.scores().loc[concept], concept)
    svg = unquote(picture.uri)
    best = themes[themes["concept"] == concept].iloc[0]
    assert best["leading_edge"].split(";")[0] in svg
    assert f"of {(themes['concept'] == concept).sum()}" in svg
    assert len(picture.uri) < 60_000


def test_without_findings_there_is_no_picture(themes):
    scores = pd.Series({"CD3E": 1.0})
    assert dots_picture(None, {}) is None
    assert dots_picture(themes.iloc[:0], {}) is None
    assert edges_picture(None, scores, 0) is None
    assert edges_picture(themes, scores, -1) is None
    assert edges_picture(themes.assign(leading_edge=""), scores, int(themes["concept"].iloc[0])) is None
