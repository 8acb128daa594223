"""What a user can put right, told in one sentence."""


class InputError(ValueError):
    """Bad input: the message is one sentence that names the file, line or key and says what to do.

    A command that meets it prints the sentence and exits with 2; every other exception is a bug and keeps its traceback.
    """
