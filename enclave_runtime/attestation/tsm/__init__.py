"""The kernel's one interface for the evidence of all TEEs (docs/protocol.md section 4)."""
