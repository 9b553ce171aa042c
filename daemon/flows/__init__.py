"""What the daemon does; no network here."""
