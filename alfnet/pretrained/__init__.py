"""First weights that others trained: downloads, and the 2018 release's Keras files."""
