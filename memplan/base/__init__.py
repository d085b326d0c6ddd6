"""What everything stands on: errors, units, files, plug-ins. Imports nothing of memplan."""
