"""`python -m memplan` is the `memplan` program."""

import sys

from memplan_start import main

sys.exit(main())
