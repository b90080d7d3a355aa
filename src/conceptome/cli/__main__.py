"""``python -m conceptome.cli``."""

import sys

from conceptome.cli import main

sys.exit(main())
