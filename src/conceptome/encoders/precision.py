"""When to multiply in bfloat16: only whole cells, and only where the hardware gains by it."""

from __future__ import annotations

from typing import Literal, TypeAlias

Precision: TypeAlias = Literal["float32", "bfloat16", "auto"]


def uses_bfloat16(precision: Precision, device: str) -> bool:
    """Tell whether to embed with products in bfloat16.

    Without instructions for it bfloat16 is slower than float32 (0.8 times its speed on AVX2).

    Parameters
    ----------
    precision
        ``"auto"`` takes bfloat16 on a processor with AMX or AVX512-BF16 and on a GPU that computes in it.
    device
        Where the network runs.

    Returns
    -------
    Whether to use bfloat16.
    """
    import torch

    if precision != "auto":
        return precision == "bfloat16"
    if device != "cpu":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if not hasattr(torch.cpu, "get_capabilities"):  # older versions of PyTorch cannot tell
        return False
    found = torch.cpu.get_capabilities()
    return any(bool(found.get(name)) for name in ("amx_bf16", "avx512_bf16"))
