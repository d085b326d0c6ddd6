"""The least peak of live bytes over all orders, proved: the model, its search, and the solver `peak`."""
