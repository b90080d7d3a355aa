"""Builds the browser client into the package where it is not there, or CONCEPTOME_BUILD_CLIENT=1 asks for it.

What git and the published packages hold is built already: an install needs no node.
"""

import os
import shutil
import subprocess
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FORCE = "CONCEPTOME_BUILD_CLIENT"


class ClientBuild(BuildHookInterface):
    """The hook that hatchling calls before it packs."""

    PLUGIN_NAME = "custom"

    def initialize(self, version, build_data):  # noqa: ARG002, ANN001, ANN201, D102 - as hatchling calls it
        root = Path(self.root)
        built = root / "src" / "conceptome" / "web" / "static" / "index.html"
        if built.is_file() and os.environ.get(FORCE) != "1":
            return
        npm = shutil.which("npm")
        if npm is None:
            msg = (
                f"The browser client is to be built ({built} is missing, or {FORCE}=1), but npm is not "
                "found. Install Node.js 20 or newer, or take the built files of a release."
            )
            raise RuntimeError(msg)
        client = str(root / "client")
        subprocess.run(
            [npm, "--prefix", client, "install", "--no-save", "--no-audit", "--no-fund"], check=True
        )
        subprocess.run([npm, "--prefix", client, "run", "build"], check=True)
