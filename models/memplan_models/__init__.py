"""The zoo: weight-free graphs of real architectures, their index, and the recipes that made them."""
