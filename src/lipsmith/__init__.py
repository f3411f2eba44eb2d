"""Lipsmith: self-hosted visual dubbing. The same file, speaking another voice."""

__version__ = "0.1.0"
