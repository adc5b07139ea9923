"""Turn checkpoints and translation outputs into a verdict that can be defended."""

__version__ = "0.1.0"
