"""What a command tells the user instead of a stack trace."""


class Failure(Exception):
    """Ends the command with exit code 1; the message says what is wrong and what to do."""
