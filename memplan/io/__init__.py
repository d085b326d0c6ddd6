"""memplan's own files: graph JSON, plan JSON, buffers as CSV."""
