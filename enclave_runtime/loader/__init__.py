"""What the trusted loader decides, without touching anything (docs/protocol.md section 7).

Messages, time and entropy come in; answers and effects go out. `host` carries them.
"""
