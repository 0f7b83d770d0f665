"""A recurrent cell's equations: forward, backward and derived."""
