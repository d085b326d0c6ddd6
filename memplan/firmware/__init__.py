"""Plans as C for firmware: tables of addresses and copies, and a test that replays them on the host."""
