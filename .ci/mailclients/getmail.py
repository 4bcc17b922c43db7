"""getmail"""

import mail
from call import Running, check, good, refused
from server import SHARED

NAME = "getmail"
TRANSPORTS = ["plain", "TLS"]  # it has no STARTTLS for IMAP


def args(a, mailbox="INBOX", retriever="", options="read_all = true"):
    if a.transport == "TLS":
        retriever += f"\nca_certs = {a.ca}"
    rc = a.write("getmailrc", f"""[retriever]
type = SimpleIMAP{'SSL' if a.transport == 'TLS' else ''}Retriever
server = {a.host}
port = {a.port}
username = {a.user}
password = pass
mailboxes = ("{mailbox}",)
{retriever}
[destination]
type = MDA_external
path = /bin/sh
arguments = ("-c", "cat >$(mktemp -p {a.dir} got.XXXXXX)")
allow_root_commands = true
[options]
delivered_to = false
received = false
{options}
""")
    return ["getmail", "--getmaildir", a.dir, "--rcfile", rc]


def got(a):
    return mail.contents(a.files("got.*"), b"Return-Path|X-getmail-retrieved-from-mailbox")


def use(a, sent):
    good(*args(a))
    check("messages", got(a), mail.contents(sent))
    good(*args(a, SHARED))
    check("shared", got(a), mail.contents([sent[0]]))
    good(*args(a, retriever="imap_search = SUBJECT odd"))
    check("search", got(a), mail.contents(sent[1::2]))
    good(*args(a, retriever="imap_search = SUBJECT odd", options="read_all = true\ndelete = true"))
    check("search", got(a), mail.contents(sent[1::2]))
    check("what is left", [m.content for m in a.messages()], [m.content for m in sent[::2]])
    with Running(*args(a, options="read_all = false\ndelete = true"), "--idle", "INBOX", "--trace") as c:
        if a.options.idle:
            c.wait_for("Entering IDLE mode")
            a.server.append(a.user, sent[3])
            c.wait_for("IDLE message received")
            c.wait_for("Entering IDLE mode")
        else:
            c.wait_for("--idle given, but server does not support IDLE")
            check("exit status of getmail", c.end()[0], 0)
    check("new messages", got(a), mail.contents([sent[3]] if a.options.idle else []))


def fetch(a):
    return refused(*args(a))


def search(a):
    return good(*args(a, retriever="imap_search = SUBJECT odd")).decode()
