"""The demo: one program that plays every role through the SDK, on a chain and services of its own."""
