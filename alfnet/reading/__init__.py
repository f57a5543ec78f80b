"""Reading ground truths and detections that others made, with messages that say how to mend them."""
