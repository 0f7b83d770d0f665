"""What people open: the command line, the page, the notebook and the exercises."""
