"""The only room that uses undocumented names of SQLAlchemy, for its lines 2.0 and 2.1.

The rooms above import such names from here; each is looked for when this room is imported.
Nothing here imports another room.
"""
