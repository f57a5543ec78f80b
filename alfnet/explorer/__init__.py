"""A page to look at errors one by one, for any detections: crops of the images where they are at hand."""
