"""The pipelines in the box, written against the public API and nothing else."""
