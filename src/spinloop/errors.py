"""The one exception for mistakes that a user can mend."""


class UserError(Exception):
    """A mistake in a user's file, parameter or command.

    The message is one line that names the file, the key in it, and the cure. The command line prints it
    without a traceback and exits with status 2; every other exception is a bug and keeps its traceback.
    """
