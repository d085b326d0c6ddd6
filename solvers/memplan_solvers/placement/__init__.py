"""Where each storage lies over its whole life, on targets of any memories: `placement.py` is the solver."""
