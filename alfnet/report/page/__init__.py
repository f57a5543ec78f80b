"""The page: templates, styles and scripts, and the code that fills them."""
