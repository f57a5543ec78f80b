"""Tables, curves, pictures and the page."""
