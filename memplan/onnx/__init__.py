"""All that memplan knows of ONNX: from a file to a graph, and a plan into the file."""
