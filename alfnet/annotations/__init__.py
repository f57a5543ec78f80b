"""Annotations: CityPersons' .mat files, the training cache and the evaluation ground truth."""
