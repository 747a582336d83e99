"""The one exception for mistakes that a user can mend, and what its messages quote of others."""


class UserError(Exception):
    """A mistake in a user's file, parameter or command.

    The message is one line that names the file, the key in it, and the cure. The command line prints it
    without a traceback and exits with status 2; every other exception is a bug and keeps its traceback.
    """


def reason_of(error: BaseException) -> str:
    """The first line of what a library's error says, or its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
