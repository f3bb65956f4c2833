"""Measures that need a model: entry points of `radbridge evaluate --measure NAME=FOLDER`. Nothing is ever fetched."""
