"""What every stage does first."""

from alfnet.params import Params, load_params
from alfnet.runtime import configure


def checked_params() -> Params:
    """Read and check params.yaml, and set up the arithmetic before numpy, cv2 and torch are imported."""
    params = load_params()
    configure(params.runtime)
    return params
