"""Bytes and data sets: what DICOM looks like. It knows no socket and no case."""
