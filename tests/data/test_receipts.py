import hashlib

import pytest

from conceptome.core import DownloadError
from conceptome.data import RemoteFile
from conceptome.data.receipts import RECEIPTS, Receipt, add_receipt, read_receipts, sha256_of

DIGEST = hashlib.sha256(b"content").hexdigest()
FILE = RemoteFile(name="deep/x", url="https://a/x", size=7, sha256=DIGEST)


def test_receipts_are_kept_beside_the_files(tmp_path):
    assert read_receipts(tmp_path) == {}
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "x").write_bytes(b"content")
    add_receipt(tmp_path, FILE, DIGEST)
    assert read_receipts(tmp_path) == {"deep/x": Receipt(url="https://a/x", size=7, sha256=DIGEST)}
    assert {path.name for path in tmp_path.iterdir()} == {"deep", RECEIPTS}


@pytest.mark.parametrize("text", ["", "[]", '{"x": 1}', '{"x": {"size": 7}}', '{"x": '])
def test_a_damaged_record_is_named(tmp_path, text):
    (tmp_path / RECEIPTS).write_text(text)
    with pytest.raises(DownloadError) as caught:
        read_receipts(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / RECEIPTS} is damaged (")
    assert str(caught.value).endswith("Delete it: the files beside it are then checked anew.")


def test_a_receipt_is_of_a_file_by_checksum_or_else_by_address():
    receipt = Receipt(url="https://a/x", size=7, sha256=DIGEST)
    assert receipt.is_of(FILE)
    assert receipt.is_of(RemoteFile(name="x", url="https://moved/x", size=7, sha256=DIGEST))
    assert not receipt.is_of(RemoteFile(name="x", url="https://a/x", size=7, sha256="0" * 64))
    assert receipt.is_of(RemoteFile(name="x", url="https://a/x", size=None, sha256=None))
    assert not receipt.is_of(RemoteFile(name="x", url="https://a/newer", size=None, sha256=None))


def test_checksums_are_those_of_hashlib(tmp_path):
    (tmp_path / "x").write_bytes(b"content")
    assert sha256_of(tmp_path / "x") == DIGEST
