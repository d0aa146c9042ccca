"""The bad actors of the demo, one function each, every one against the running market."""
