"""The model.py files of a Triton model repository; `export.triton` copies them, and only Triton imports them."""
