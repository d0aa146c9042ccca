"""The certification authority: challenge a CVM, verify its evidence, sign what was seen (section 4.5).

It decides money only: owners, clients and auditors verify the raw evidence themselves.
"""
