"""A provider's side: the agent, its pure reducer, its journal, and the wire to its CVMs."""
