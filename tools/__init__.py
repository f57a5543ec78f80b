"""Programs for maintainers: comparisons with the published method, of bytes between processors."""
