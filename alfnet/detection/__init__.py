"""From predictions to final boxes, and their files and pictures."""
