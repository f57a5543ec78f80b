"""A trained detector for other runtimes: ONNX, OpenVINO and ncnn files, checked against PyTorch."""
