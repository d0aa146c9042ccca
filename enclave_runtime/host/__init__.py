"""The only room that listens to the host: a socket, a clock, entropy, files (docs/architecture.md).

Everything it hears is untrusted; everything it decides is decided in `loader`, which it only carries out.
"""
