"""How pgflight gets into a program: the dialect's registration, and the start-up hook.

Called by the front door, `pgflight.auto`, the plugin and `python -m pgflight enable`.
Nothing here imports SQLAlchemy or the dialect before the program does.
"""
