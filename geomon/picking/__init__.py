"""The phase picker: model, card, inference and peaks."""
