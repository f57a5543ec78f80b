"""Data sets made ready for the pipeline: fetched, unpacked, and scaled to images of one size."""
