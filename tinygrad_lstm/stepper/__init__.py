"""A trace of a computation, forward and backward, one operation an event, to be stepped through."""
