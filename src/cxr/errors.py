"""The one error that is the user's to mend."""


class InputError(Exception):
    """Something the user gave is wrong; the message says where, what was expected, what came and what to do."""
