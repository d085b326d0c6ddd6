"""Who looks at a plan: text, pictures, the report, traces."""
