"""Offset assignment alone: buffers, the packer plug-in, its checker."""
