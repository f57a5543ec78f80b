"""Miss rate over FPPI, and the checks of what is handed in."""
