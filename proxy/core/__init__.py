"""The pure core: bytes and dicts in, bytes and dicts out. No await, no clock, no I/O, no logging, no globals."""
