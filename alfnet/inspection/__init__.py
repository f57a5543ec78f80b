"""Looking at a data set before anything runs on it: what is there, what looks wrong, whether the anchors fit."""
