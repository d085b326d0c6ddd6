"""The search for spatial tilings: a plug-in of the group `memplan.tilers`."""
