"""The trusted computing base of Cloister: everything that runs inside a confidential VM.

Nothing here imports `marketplace` or any network client (docs/architecture.md, import rules).
"""
