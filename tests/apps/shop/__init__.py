"""A small shop with accounts and papers, weak on purpose; `--repaired` gives its sound twin. Only for loopback."""
