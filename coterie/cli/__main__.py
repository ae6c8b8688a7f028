"""`python -m coterie.cli`: the same as the command `coterie`."""

import sys

from coterie.cli import main

sys.exit(main())
