"""Synthetic street scenes in CityPersons' own formats."""
