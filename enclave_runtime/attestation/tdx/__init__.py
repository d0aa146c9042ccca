"""Intel TDX: judging TD quotes (docs/protocol.md section 4.3)."""
