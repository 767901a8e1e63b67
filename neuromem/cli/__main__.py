"""``python -m neuromem.cli``."""

import sys

from neuromem.cli import main

sys.exit(main())
