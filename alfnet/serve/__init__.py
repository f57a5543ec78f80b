"""A detector behind HTTP: an image in, COCO JSON or the drawn image out. With a file of `alfnet export --nms`, without torch."""
