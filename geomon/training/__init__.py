"""Labelled windows, augmentation, fitting and scoring of pickers."""
