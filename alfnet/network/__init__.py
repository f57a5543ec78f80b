"""The network, its weights on disk and the import of Keras weights."""
