"""The operator's kit: each command's work, over the same rooms as the daemon's own."""
