"""An owner's key release service: verify, decide, seal (docs/protocol.md section 5).

It runs anywhere the owner likes, holds the owner's content keys, and believes nobody's word for the evidence
or the order: it verifies the one itself and reads the other from its own nodes.
"""
