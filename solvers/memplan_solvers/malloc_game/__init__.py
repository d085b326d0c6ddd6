"""The mallocGame (after mallocMuZero, arXiv 2305.07440): its rules, its Gymnasium environment, its players."""
