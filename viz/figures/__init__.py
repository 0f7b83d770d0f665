"""Every kind of figure."""
