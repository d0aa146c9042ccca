"""Arm CCA: realms and the platforms that vouch for them."""
