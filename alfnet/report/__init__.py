"""Tables, curves, images and the page."""
