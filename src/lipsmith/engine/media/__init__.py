"""Containers, streams, frames, colour and time: everything about the file, nothing about faces."""
