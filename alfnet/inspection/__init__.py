"""Looking at a data set before anything runs on it: what is there, what is missing, what looks wrong, and whether the anchors fit."""
