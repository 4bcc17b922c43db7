"""Running a client in a terminal or without one, and checking what comes of it."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios

TIMEOUT = 60

# What is going on, and what was printed meanwhile, for whoever has to read about a failure.
story = []
checks = 0


def check(what, got, want):
    global checks
    if got != want:
        raise AssertionError(f"{what}:\n     got {short(got)}\n  wanted {short(want)}")
    checks += 1


def short(value):
    text = repr(value)
    return text if len(text) < 1000 else f"{text[:500]} … {text[-500:]} ({len(text)} characters)"


def run(*args, input=None, env={}):
    """The exit status of a client, and what it printed."""
    story.append(" ".join(map(str, args)))
    done = subprocess.run(args, input=input or b"", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT, env=os.environ | env)
    story.append(done.stdout.decode(errors="replace")[-3000:])
    return done.returncode, done.stdout


def good(*args, **options):
    """What a client printed that has to end well."""
    status, output = run(*args, **options)
    check(f"exit status of {args[0]}", status, 0)
    return output


def refused(*args, **options):
    """What a client printed that has to end badly."""
    status, output = run(*args, **options)
    check(f"{args[0]} fails", status != 0, True)
    return output.decode(errors="replace")


def too_late(*_):
    raise TimeoutError(f"the client is still running after {TIMEOUT} s")


class Running:
    """A client that waits for something, with or without a terminal."""

    def __init__(self, *args, terminal=False):
        story.append(" ".join(args))
        self.output, self.offset = b"", 0
        if terminal:
            self.fd, other = pty.openpty()
            fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
            self.process = subprocess.Popen(args, stdin=other, stdout=other, stderr=other, start_new_session=True)
            self.input = self.fd
            os.close(other)
        else:
            self.process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.fd, self.input = self.process.stdout.fileno(), self.process.stdin.fileno()

    def read(self):
        try:
            more = os.read(self.fd, 1 << 16)
        except OSError:  # a terminal whose program has ended
            more = b""
        self.output += more
        return more

    def wait_for(self, pattern, or_end=False):
        """Wait for something that has not been waited for."""
        signal.alarm(TIMEOUT)
        while not (match := re.search(pattern.encode(), self.output[self.offset:])):
            if not self.read():
                if or_end:
                    signal.alarm(0)
                    return
                raise AssertionError(f"it has ended, and never printed {pattern}")
        signal.alarm(0)
        self.offset += match.end()

    def send(self, text):
        try:
            os.write(self.input, text.encode())
        except BrokenPipeError:
            pass  # it has ended, and what it printed says why

    def press(self, key):
        """Press a key whenever nothing happens, until it ends."""
        for _ in range(TIMEOUT * 5):
            if not select.select([self.fd], [], [], 0.2)[0]:
                self.send(key)
            elif not self.read():
                return
        too_late()

    def end(self):
        """Its exit status, and all that it printed."""
        signal.alarm(TIMEOUT)
        while self.read():
            pass
        status = self.process.wait()
        signal.alarm(0)
        return status, self.output

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        story.append(re.sub(" {9,}|\\0", "\n", self.output.decode(errors="replace"))[-3000:])
