"""What every small HTTP service of the market needs: bounded input, challenges, audit log, settings.

Certifier and key broker are siblings that must not know each other; what they share stands here, and knows
neither. Everything comes in by argument: no globals, so that two owners can run two brokers in one process.
"""
