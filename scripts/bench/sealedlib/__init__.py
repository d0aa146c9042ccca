"""What scripts/bench/sealed.py measures, one section in each file."""
