"""What holds for all tests."""

import signal


def pytest_configure() -> None:
    # A shell ignores SIGINT for what it starts in the background, and so would all that the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
