import subprocess
import sys

import pytest

import conceptome as cm

HEAVY = ("torch", "scanpy", "anndata", "matplotlib", "sklearn", "scvi", "pandas", "zarr")


def test_import_loads_nothing_heavy():
    code = f"import sys, conceptome; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", [name for name in cm.__all__ if name != "__version__"])
def test_every_announced_module_loads(name):
    module = getattr(cm, name)
    for attribute in getattr(module, "__all__", []):
        assert getattr(module, attribute) is not None


def test_unknown_attribute_lists_what_exists():
    with pytest.raises(AttributeError, match=r"^module 'conceptome' has no attribute 'nope'; it has "):
        cm.nope  # noqa: B018
