"""Who believes which hardware, and why (docs/protocol.md section 4).

Attesting and verifying are different rooms: `model`, `dcap` and `simulated.attest` go into the CVM;
`registry`, `appraise` and every `*/verify` stay outside, with the services and the auditor.
"""
