"""The hot paths, each one source in two forms: `<name>` interpreted, `<name>_c` compiled.

fastpg._impl chooses between the forms; nothing else imports from here.
"""
