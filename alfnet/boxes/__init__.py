"""Anchors, box arithmetic and target assignment."""
