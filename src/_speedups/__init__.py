"""The hot paths, each in two forms of the same behaviour: `<name>` Python, `<name>_c` compiled.

Where there is a `<name>_c.pyx`, that is what gets compiled, otherwise `<name>.py` itself.
pgflight._impl chooses between the forms; nothing else imports from here.
"""
