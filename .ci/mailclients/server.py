"""The example server, its users and what they have in their mailboxes."""

import contextlib
import glob
import imaplib
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

import call
import mail

TRANSPORTS = ["plain", "TLS", "STARTTLS"]
FOLDERS = ["INBOX", "Archive", "Archive/2025", "Drafts", "Lists/imap", "Sent", "Trash"]
# owner shares this folder with everybody.
SHARED = "#users/owner/Archive"
PARENTS = ["#users", "#users/owner", "Lists"]


class Server:
    """A running example server. dir is the folder of the whole run, with the program and the certificate in it."""

    def __init__(self, dir, options, users):
        self.dir, self.ca = dir, f"{dir}/cert.pem"
        users = ",".join(f"{user}:pass" for user in [*users, "owner"])
        self.output = tempfile.NamedTemporaryFile(dir=dir, prefix="server.")
        self.process = subprocess.Popen(
            [f"{dir}/server", "-listen", "127.0.0.1:0", "-listen-tls", "127.0.0.1:0", "-users", users, "-shared", "owner:Archive",
             "-tls-cert", self.ca, "-tls-key", f"{dir}/key.pem", *options],
            stdout=self.output, stderr=subprocess.STDOUT, env={"GORACE": "atexit_sleep_ms=0"})
        try:
            ports = re.findall(r"127\.0\.0\.1:(\d+)", self.wait_for(r"(?s)^.*Ctrl-C"))
        except BaseException:
            self.process.kill()
            raise
        self.ports = {"plain": ports[0], "STARTTLS": ports[0], "TLS": ports[1]}

    def log(self):
        with open(self.output.name) as log:
            return log.read()

    def wait_for(self, pattern):
        for _ in range(3000):
            if match := re.search(pattern, self.log()):
                return match[0]
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise AssertionError(f"the server does not print {pattern}:\n{self.log()}")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(10)
        finally:
            self.process.kill()
            log = self.log()
            self.output.close()
        if kind is not None:
            call.story.append(f"-- what the server printed:\n{log}")
        elif status != 0 or re.search("panic|DATA RACE", log):
            raise AssertionError(f"the server ended with {status}:\n{log}")

    @contextlib.contextmanager
    def login(self, user, mailbox="INBOX"):
        """A connection that looks and changes behind the back of a client."""
        with imaplib.IMAP4("127.0.0.1", int(self.ports["plain"]), timeout=30) as c:
            c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # imaplib sends a literal in pieces
            c.login(user, "pass")
            ok(c.select(f'"{mailbox}"'))
            yield c

    def fill(self, user, messages, mailbox="INBOX"):
        """Put exactly these messages into a mailbox."""
        with self.login(user, mailbox) as c:
            ok(c.store("1:*", "+FLAGS.SILENT", r"\Deleted")) if int(c.untagged_responses["EXISTS"][-1]) else None
            ok(c.expunge())
            for m in messages:
                ok(c.append(f'"{mailbox}"', f"({' '.join(m.flags)})", m.date, m.content))

    def append(self, user, message, mailbox="INBOX"):
        with self.login(user, mailbox) as c:
            ok(c.append(f'"{mailbox}"', None, message.date, message.content))

    def messages(self, user, mailbox="INBOX"):
        """What is in a mailbox."""
        with self.login(user, mailbox) as c:
            if not int(c.untagged_responses["EXISTS"][-1]):
                return []
            return [mail.parse(item) for item in ok(c.fetch("1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")) if isinstance(item, tuple)]


class Account:
    """A user, as a client with one kind of connection is told of it."""

    def __init__(self, server, user, transport, options=None):
        self.server, self.user, self.transport, self.options = server, user, transport, options
        self.dir = tempfile.mkdtemp(dir=server.dir)
        self.host, self.port, self.ca = "localhost", server.ports[transport], server.ca

    def url(self, path=""):
        return f"imap{'s' if self.transport == 'TLS' else ''}://{self.host}:{self.port}/{path}"

    def write(self, name, text):
        """A private file of the client; its path."""
        path = f"{self.dir}/{name}"
        with open(path, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
            f.write(text)
        return path

    def files(self, pattern):
        """What is in the files; they are gone then."""
        found = []
        for path in glob.glob(f"{self.dir}/{pattern}"):
            with open(path, "rb") as f:
                found.append(f.read())
            os.remove(path)
        return found

    def messages(self, mailbox="INBOX"):
        return self.server.messages(self.user, mailbox)

    def login(self, mailbox="INBOX"):
        return self.server.login(self.user, mailbox)


def ok(answer):
    status, data = answer
    if status != "OK":
        raise AssertionError(answer)
    return data
