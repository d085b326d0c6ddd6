"""Tests of the search for tilings."""
