"""A live model trained again when its data, its calendar or a broken promise asks for it."""
