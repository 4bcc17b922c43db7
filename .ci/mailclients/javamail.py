"""JavaMail"""

import base64
import collections

from call import Running, check, refused
from library import check_library
from mail import message
from server import SHARED

NAME = "JavaMail"
JARS = "/usr/share/java/javax.mail.jar:/usr/share/java/javax.activation.jar"


def args(a, what):
    path = a.write("append", message(2).content.decode())
    return ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{JARS}:{a.server.dir}", "Mail", what, a.port, a.transport, a.user, path, SHARED]


def use(a, sent):
    with Running(*args(a, "idle" if a.options.idle else "use")) as c:
        if a.options.idle:
            c.wait_for("idling\t\n")
            a.server.append(a.user, sent[0])
        status, output = c.end()
    check("exit status", status, 0)
    lines = collections.defaultdict(list)
    for line in output.decode().splitlines():
        what, found = line.split("\t")
        lines[what].append(found)
    got = {
        "found": [int(n) for n in lines["found"]],
        "list": [{"path": name.removeprefix("noselect "), "noselect": name.startswith("noselect ")} for name in lines["list"]],
        "parent": lines["parent"][0],
        "exists": int(lines["exists"][0]),
    }
    check_library(a, sent, got, *([base64.b64decode(m) for m in lines[what]] for what in ["message", "shared"]))
    check("EXPUNGE", lines["expunged"], ["3"])
    check("the third message after a MOVE of the third", lines["third"], ["odd number 3"])
    if a.options.idle:
        check("IDLE", lines["news"], [f"{len(sent)}"])


def fetch(a):
    return refused(*args(a, "fetch"))


def search(a):
    """It throws nothing, and goes through all messages by itself."""
    with Running(*args(a, "search")) as c:
        c.wait_for(r"NO \[LIMIT\] Too many concurrent searches")
        c.wait_for(r"FETCH 1.*ENVELOPE")
    return ""
