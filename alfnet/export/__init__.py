"""A trained detector for other runtimes: ONNX and OpenVINO files, checked against PyTorch."""
