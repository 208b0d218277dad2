"""How pgflight gets into a program: the dialect's registration, and the start-up hook.

Called by the front door, by `pgflight.auto`, by the plugin and by `python -m pgflight enable`.
Nothing here imports SQLAlchemy or the dialect before a program does.
"""
