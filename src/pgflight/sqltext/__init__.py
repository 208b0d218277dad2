"""What the text of a statement tells: whether it changes anything, and what.

Asked by :mod:`pgflight.session` of each statement once, when it is prepared.  Imports nothing: a
function here takes a text and returns an answer.
"""
