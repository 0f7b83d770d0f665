"""Files that the page carries inside itself, and the scripts that made them."""
