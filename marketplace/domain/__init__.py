"""Pure rules of the market: prices, life cycle, settlement, release of keys. No clock, network or file."""
