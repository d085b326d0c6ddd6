"""`python -m memplan` is the `memplan` program."""

import sys

from memplan.cli import main

sys.exit(main())
