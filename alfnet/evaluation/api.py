"""`alfnet.evaluate`: miss rates from Python."""
