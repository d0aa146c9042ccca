"""What the gas bench is made of: floors, a chain to measure on, operations, and the committed snapshot."""
