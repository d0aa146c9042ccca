"""Formats that someone else must repeat byte for byte: ids, hashes, signatures, reports.

The bottom of the import order: this package imports nothing else of the project.
"""
