"""ALFNet (ECCV 2018) in PyTorch: a single-stage pedestrian detector that regresses its anchors step by step.

The packages follow the flow of the data, and a package imports only from those before it:
annotations, synthetic -> boxes -> network -> training -> detection -> evaluation -> report.
"""

__version__ = "0.1.0"
