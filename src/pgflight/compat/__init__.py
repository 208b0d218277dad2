"""The only room that names what SQLAlchemy does not document, for its lines 2.0 and 2.1.

Everybody above imports such names from here; each is looked for when this room is imported.
Nothing here imports another room.
"""
