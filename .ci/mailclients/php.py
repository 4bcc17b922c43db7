"""PHP's imap, which is the UW c-client"""

import base64
import json
import os
import socket

from call import check, good, refused
from library import check_library
from mail import message
from server import SHARED

NAME = "PHP's imap"
SCRIPT = f"{os.path.dirname(os.path.abspath(__file__))}/mail.php"
TRANSPORTS = ["plain", "TLS"]  # with STARTTLS it knows no newer TLS than 1.0

# None: c-client logs in by AUTHENTICATE PLAIN, as it always would.
OPTIONS = {}


def args(a, what):
    with open(f"{a.dir}/append", "wb") as f:
        f.write(message(2).content)
    return ["env", f"SSL_CERT_FILE={a.ca}", "php", SCRIPT, what, a.port, a.transport, a.user, a.dir, SHARED, json.dumps(OPTIONS)]


def use(a, sent):
    check("AUTHENTICATE is answered as c-client needs it", challenge(a), b"+ \r\n")
    got = json.loads(good(*args(a, "use")))
    check_library(a, sent, got, *([base64.b64decode(m) for m in got[what]] for what in ["messages", "shared"]))
    check("commands that go well", [got[what] for what in ["append", "store", "copy", "move"]], [True] * 4)


def challenge(a):
    with socket.create_connection(("127.0.0.1", a.server.ports["plain"])) as c, c.makefile("rb") as f:
        f.readline()
        c.sendall(b"a AUTHENTICATE PLAIN\r\n")
        return f.readline()


def fetch(a):
    return refused(*args(a, "fetch"))


search = None  # when it is refused there is nothing to read: it goes through all messages by itself
