"""All that is known of TensorFlow Lite: files in, graphs of them, and planned files out."""
