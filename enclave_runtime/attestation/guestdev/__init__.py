"""The kernel's older device files for evidence, before configfs-tsm (docs/protocol.md section 4)."""
