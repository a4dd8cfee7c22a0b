"""Drives the shop: ordinary use first, then an attack on each weakness. Only for loopback."""
