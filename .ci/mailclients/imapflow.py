"""imapflow, of npm, in Node.js"""

import json
import os

from call import Running, check, good, refused
from library import check_library
from mail import message
from server import SHARED

NAME = "imapflow"
SCRIPT = f"{os.path.dirname(os.path.abspath(__file__))}/imapflow.js"


def args(a, what):
    with open(f"{a.dir}/append", "wb") as f:
        f.write(message(2).content)
    return ["env", f"NODE_PATH={a.server.dir}/node_modules", "node", SCRIPT, what, a.port, a.transport, a.user, a.ca, a.dir, SHARED]


def use(a, sent):
    with Running(*args(a, "idle" if a.options.idle else "use")) as c:
        if a.options.idle:
            c.wait_for("idling\n")
            a.server.append(a.user, sent[0])
        status, output = c.end()
    check("exit status", status, 0)
    got = json.loads(output.decode().splitlines()[-1])
    check_library(a, sent, got, [m.encode("latin-1") for m in got["messages"]], [m.encode("latin-1") for m in got["shared"]])
    check("EXPUNGE", got["expunged"], [3])
    if a.options.idle:
        check("IDLE", got["news"], len(sent))


def fetch(a):
    return refused(*args(a, "fetch"))


def search(a):
    """Nothing is thrown."""
    return good(*args(a, "search")).decode()
