"""What the text of a statement tells: whether it changes anything, and what.

:mod:`pgflight.session` asks once for each statement, when it is prepared.  Imports nothing: a
function here takes a text and returns an answer.
"""
