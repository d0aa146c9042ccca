"""The command line: one small file for each group; it prints, and calls the SDK for everything else.

Nothing but typer is imported before a command runs, so that `--help` answers at once.
"""
