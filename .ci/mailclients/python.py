"""Python's imaplib"""

import imaplib
import ssl

import mail
from call import TIMEOUT, check
from server import SHARED, ok

NAME = "Python's imaplib"


def connect(a):
    tls = ssl.create_default_context(cafile=a.ca)
    if a.transport == "TLS":
        c = imaplib.IMAP4_SSL(a.host, int(a.port), ssl_context=tls, timeout=TIMEOUT)
    else:
        c = imaplib.IMAP4(a.host, int(a.port), timeout=TIMEOUT)
        if a.transport == "STARTTLS":
            ok(c.starttls(tls))
    ok(c.login(a.user, "pass"))
    return c


def numbers(answer):
    return ok(answer)[0].split()


def use(a, sent):
    c = connect(a)
    check("EXISTS", ok(c.select("INBOX")), [b"%d" % len(sent)])
    got = [mail.parse(item) for item in ok(c.fetch("1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")) if isinstance(item, tuple)]
    check("messages", [m._replace(uid=None) for m in got], sent)
    check("SEARCH", numbers(c.search(None, "SUBJECT", "odd")), [b"2", b"4", b"6", b"8", b"10"])
    check("UID SEARCH", numbers(c.uid("SEARCH", "BODY", "Umlaute")), [b"%d" % got[7].uid])
    names = [item.decode().split(' "/" ')[1].strip('"') for item in ok(c.list())]
    check("LIST", sorted(names), a.options.listed)
    check("a parent", c.select("Lists", readonly=True)[0], "OK" if a.options.opened else "NO")
    check("APPEND to a parent", c.append("#users", None, None, b"Subject: no\r\n\r\n"),
          ("NO", [b"[NONEXISTENT] No such mailbox" if a.options.virtual == "off" else b"[CANNOT] This folder only holds other folders"]))

    ok(c.select("INBOX"))
    ok(c.store("2", "+FLAGS", r"(\Seen \Flagged)"))
    ok(c.copy("2", "Sent"))
    a.options.check_copy(a, sent[1], [r"\flagged", r"\seen"])
    ok(c.select("INBOX"))
    ok(c.copy("1:2", f'"{SHARED}"'))
    check("shared", mail.contents(read(c, SHARED)), mail.contents([sent[0], sent[0], sent[1]]))
    ok(c.store("2:*", "+FLAGS", r"\Deleted"))
    ok(c.expunge())

    ok(c.select("INBOX"))
    ok(c.append("Drafts", r"\Draft", sent[0].date, sent[2].content))
    check("APPEND", read(c, "Drafts"), [sent[2]._replace(flags=frozenset([r"\draft"]))])
    ok(c.select("INBOX"))
    ok(c._simple_command("MOVE", "3", "Trash"))
    check("MOVE", read(c, "Trash"), [sent[2]])
    check("MOVE takes away", [m.content for m in read(c, "INBOX")], [m.content for m in sent[:2] + sent[3:]])
    ok(c.store("1,3", "+FLAGS.SILENT", r"\Deleted"))
    check("EXPUNGE", ok(c.expunge()), [b"3", b"1"])
    check("EXPUNGE takes away", [m.content for m in read(c, "INBOX")], [m.content for m in [sent[1], *sent[4:]]])
    idle(a, c, sent)
    ok(c.close())
    check("LOGOUT", c.logout()[0], "BYE")


def read(c, mailbox):
    ok(c.select(f'"{mailbox}"'))
    return [mail.parse(i)._replace(uid=None) for i in ok(c.fetch("1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")) if isinstance(i, tuple)]


def idle(a, c, sent):
    """IDLE by hand: imaplib of Python 3.11 has none."""
    ok(c.select("INBOX"))
    check("IDLE is advertised", b"IDLE" in ok(c.capability())[0].split(), a.options.idle)
    c.send(b"x IDLE\r\n")
    if not a.options.idle:
        check("IDLE", c.readline(), b"x BAD Unknown command\r\n")
        return
    check("IDLE", c.readline(), b"+ idling\r\n")
    a.server.append(a.user, sent[0])
    check("IDLE", c.readline(), b"* 8 EXISTS\r\n")
    c.send(b"DONE\r\n")
    check("IDLE", c.readline(), b"x OK IDLE completed\r\n")


def fetch(a):
    return refused(a, lambda c: c.fetch("1", "(RFC822)"))


def search(a):
    return refused(a, lambda c: c.search(None, "ALL"))


def refused(a, command):
    """What a person reads at the prompt of Python."""
    try:
        c = connect(a)
        try:
            ok(c.select("INBOX"))
            return repr(command(c))
        finally:
            c.shutdown()
    except imaplib.IMAP4.error as e:
        return f"{type(e).__qualname__}: {e}"
