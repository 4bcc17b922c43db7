"""curl"""

import re

from call import check, good, refused
from mail import text
from server import SHARED

NAME = "curl"


def args(a, path, *more):
    secure = ["--ssl-reqd"] if a.transport == "STARTTLS" else []
    return ["curl", "-q", "-sS", "--cacert", a.ca, "--user", f"{a.user}:pass", *secure, a.url(path.replace("#", "%23")), *more]


def use(a, sent):
    got = good(*args(a, "INBOX;MAILINDEX=[1-%d]" % len(sent), "-o", f"{a.dir}/#1"))
    check("it says nothing", got, b"")
    for n, m in enumerate(sent, 1):
        with open(f"{a.dir}/{n}", "rb") as f:
            check(f"message {n}", f.read(), m.content)
    check("header", good(*args(a, "INBOX;MAILINDEX=1;SECTION=HEADER.FIELDS%20(SUBJECT)")), b"Subject: even number 0\r\n\r\n")
    check("shared", text(good(*args(a, SHARED + ";MAILINDEX=1"))), text(sent[0].content))

    listed = re.findall(r'^\* LIST \((.*)\) "/" "?(.*?)"?\r$', good(*args(a, "")).decode(), re.M)
    check("LIST", sorted(name for attrs, name in listed), a.options.listed)
    check("folders not to be opened", {name for attrs, name in listed if r"\Noselect" in attrs}, a.options.noselect)
    check("SEARCH", good(*args(a, "INBOX?SUBJECT%20odd")), b"* SEARCH 2 4 6 8 10\r\n")
    if a.options.opened:
        check("SEARCH of nothing", good(*args(a, "Lists?ALL")), b"* SEARCH\r\n")
    else:
        check("a parent", refused(*args(a, "Lists?ALL")), "curl: (67) Select failed\n")

    good(*args(a, "Drafts", "-T", f"{a.dir}/2"))
    check("APPEND", [m.content for m in a.messages("Drafts")], [sent[1].content])
    good(*args(a, "INBOX", "-X", r"STORE 2 +FLAGS (\Flagged)"))
    good(*args(a, "INBOX", "-X", "COPY 2 Sent"))
    a.options.check_copy(a, sent[1], [r"\flagged", r"\seen"])


def fetch(a):
    return refused(*args(a, "INBOX;MAILINDEX=1"))


def search(a):
    return refused(*args(a, "INBOX?SUBJECT%20odd"))
