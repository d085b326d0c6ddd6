"""All that memplan knows of torch: from a program to a graph, and a plan into a GraphModule."""
