"""onnxruntime runs plans: options that keep one, graphs as it optimises them, and its own count of the bytes."""

from memplan.runtimes.onnxruntime.measure import measure
from memplan.runtimes.onnxruntime.optimized import optimized
from memplan.runtimes.onnxruntime.options import session_options

__all__ = ["measure", "optimized", "session_options"]
