import gzip
from importlib.metadata import version

import anndata as ad
import h5py
import numpy as np
import pytest
from anndata import AnnData

from conceptome.core import InputError
from conceptome.data import demo, raw_counts, read


@pytest.fixture(scope="module")
def h5ad(tmp_path_factory):
    path = tmp_path_factory.mktemp("reading") / "pbmc.h5ad"
    demo().write_h5ad(path)
    return path


def refusal(path, *, backed=False):
    with pytest.raises(InputError) as caught:
        read(path, backed=backed)
    return str(caught.value)


@pytest.mark.parametrize("backed", [False, True])
def test_reads_what_was_written(h5ad, backed):
    adata = read(h5ad, backed=backed)
    original = demo()
    assert adata.isbacked is backed
    assert (raw_counts(adata) != raw_counts(original)).nnz == 0
    assert adata.obs.equals(original.obs)


def test_accepts_a_path_as_text(h5ad):
    assert read(str(h5ad)).shape == (700, 765)


@pytest.mark.parametrize("name", ["pbmc3k_10x_raw", "papalexi2021_thp1_crisprko_299genes_raw"])
def test_real_data_are_the_same_in_memory_and_backed(shared, name):
    path = shared / "data" / f"{name}.h5ad"
    assert (raw_counts(read(path)) != raw_counts(read(path, backed=True))).nnz == 0


def test_does_not_repeat_anndata_about_names_that_are_not_unique(tmp_path, recwarn):
    adata = AnnData(np.ones((2, 2), dtype=np.float32))
    adata.var_names = ["A", "A"]
    adata.write_h5ad(tmp_path / "twice.h5ad")
    recwarn.clear()
    assert list(read(tmp_path / "twice.h5ad").var_names) == ["A", "A"]
    assert not [str(w.message) for w in recwarn if "not unique" in str(w.message)]


def test_absent_file_suggests_the_near_name(h5ad):
    path = h5ad.with_name("pbcm.h5ad")
    assert refusal(path) == f"{path} does not exist. Did you mean pbmc.h5ad?"


def test_absent_file_lists_the_files_of_the_folder(h5ad):
    path = h5ad.with_name("zzz.h5ad")
    assert refusal(path) == f"{path} does not exist. The .h5ad files in that folder: pbmc."


def test_absent_folder(tmp_path):
    path = tmp_path / "nowhere" / "x.h5ad"
    assert refusal(path) == f"{path} does not exist, and neither does the folder {path.parent}."


def test_a_folder(h5ad, tmp_path):
    assert refusal(h5ad.parent) == f"{h5ad.parent} is a folder. It contains pbmc.h5ad: name one of them."
    assert refusal(tmp_path) == f"{tmp_path} is a folder. Name an .h5ad file."


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("x.csv", "anndata.io.read_csv(path)"),
        ("x.csv.gz", "anndata.io.read_csv(path)"),
        ("x.TSV", "anndata.io.read_text(path)"),
        ("x.mtx.gz", "scanpy.read_10x_mtx(folder)"),
        ("x.loom", "scanpy.read_loom(path)"),
        ("x.h5", "scanpy.read_10x_h5(path)"),
        ("x.rds", "anndataR::write_h5ad(object, path)"),
    ],
)
def test_other_formats_say_how_to_convert(tmp_path, name, advice):
    path = tmp_path / name
    path.write_bytes(b"x")
    message = refusal(path)
    assert message.startswith(f"{path} is not an .h5ad file but ")
    assert advice in message


def test_unknown_suffix(tmp_path):
    path = tmp_path / "x.pkl"
    path.write_bytes(b"x")
    assert refusal(path) == f"{path} does not end in .h5ad. Write the AnnData with adata.write_h5ad(...)."


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "is empty: copy or download it again"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "is a Git LFS pointer, not the data: run git lfs pull",
        ),
        (b"<!DOCTYPE html><html>", "is a web page, not the data: the download failed"),
        (gzip.compress(b"x"), "is compressed: run gunzip on it"),
        (b"a,b\n", "is no HDF5 file (it begins with b'a,b\\n'): write it with adata.write_h5ad(...)"),
    ],
    ids=["empty", "git-lfs", "web-page", "gzip", "csv"],
)
def test_files_that_are_no_hdf5_say_what_they_are(tmp_path, content, kind):
    path = tmp_path / "x.h5ad"
    path.write_bytes(content)
    assert refusal(path) == f"{path} {kind}."


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("backed", [False, True])
def test_truncated_file(h5ad, tmp_path, share, backed):
    path = tmp_path / "cut.h5ad"
    content = h5ad.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    message = refusal(path, backed=backed)
    assert message.startswith(f"{path} is incomplete or damaged (")
    assert "truncated file" in message
    assert message.endswith("). Copy or download it again.")


def test_a_file_that_may_not_be_opened(tmp_path, monkeypatch):
    path = tmp_path / "x.h5ad"
    path.write_bytes(b"x")

    def fail(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", fail)
    assert refusal(path) == f"{path} cannot be opened (Permission denied)."


def test_hdf5_that_is_no_anndata(tmp_path):
    path = tmp_path / "other.h5ad"
    with h5py.File(path, "w") as file:
        file["matrix"] = np.eye(3)
    assert refusal(path) == (
        f"{path} is an HDF5 file but no AnnData: it lacks obs and var and has matrix. "
        "Write the AnnData with adata.write_h5ad(...)."
    )


def test_what_anndata_cannot_read_is_said_with_its_reason(h5ad, tmp_path):
    path = tmp_path / "broken.h5ad"
    path.write_bytes(h5ad.read_bytes())
    with h5py.File(path, "a") as file:
        file["X"].attrs["shape"] = [5, 6]
    assert refusal(path) == (
        f"anndata {version('anndata')} cannot read {path} (ValueError: Observations annot. `obs` must have "
        "as many rows as `X` has rows (5), but has 700 rows.). The file is damaged or of a format that it "
        "does not know: copy it again, or rewrite it with the anndata that made it."
    )


def test_future_encoding_is_refused(h5ad, tmp_path):
    path = tmp_path / "future.h5ad"
    path.write_bytes(h5ad.read_bytes())
    with h5py.File(path, "a") as file:
        file["X"].attrs["encoding-version"] = "9.9.9"
    message = refusal(path)
    assert "encoding_version='9.9.9'" in message
    assert "of a format that it does not know" in message


def test_reads_the_format_of_anndata_0_6(tmp_path):
    path = tmp_path / "old.h5ad"
    with h5py.File(path, "w") as file:
        file["X"] = np.arange(6, dtype=np.float32).reshape(3, 2)
        file["obs"] = np.array([(b"a",), (b"b",), (b"c",)], dtype=[("index", "S1")])
        file["var"] = np.array([(b"g",), (b"h",)], dtype=[("index", "S1")])
    adata = read(path)
    assert list(adata.obs_names) == ["a", "b", "c"]
    assert raw_counts(adata).toarray().tolist() == [[0, 1], [2, 3], [4, 5]]


def test_out_of_memory_points_to_backed(h5ad, monkeypatch):
    def fail(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(ad, "read_h5ad", fail)
    assert refusal(h5ad) == (
        f"{h5ad} does not fit into memory. Read it with backed=True, or take fewer cells."
    )
