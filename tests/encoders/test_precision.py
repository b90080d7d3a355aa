import pytest
import torch

from conceptome.encoders.precision import uses_bfloat16


def test_what_was_asked_for_is_done():
    assert uses_bfloat16("bfloat16", "cpu")
    assert not uses_bfloat16("float32", "cpu")


@pytest.mark.parametrize(("amx", "avx512"), [(False, False), (True, False), (False, True)])
def test_auto_asks_the_processor(monkeypatch, amx, avx512):
    found = {"amx_bf16": amx, "avx512_bf16": avx512, "avx2": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    assert uses_bfloat16("auto", "cpu") == (amx or avx512)


def test_auto_asks_the_gpu(monkeypatch):
    for supported in (True, False):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, s=supported: s)
        assert uses_bfloat16("auto", "cuda") == supported


def test_a_version_of_pytorch_that_cannot_tell(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not uses_bfloat16("auto", "cpu")
