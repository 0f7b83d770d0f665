"""Pictures of recurrent cells and of their computation graphs."""
