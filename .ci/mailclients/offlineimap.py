"""offlineimap3"""

import glob
import os
import re

import mail
from call import check, good, refused
from server import SHARED, ok

NAME = "offlineimap3"
# After STARTTLS it hangs now and then, with a server of Python, too: imaplib2 reads in one thread and writes in another, which Python 3.11 does not bear
# when the server's first session tickets wake the reader.
TRANSPORTS = ["plain", "TLS"]


def args(a):
    rc = a.write("offlineimaprc", f"""[general]
accounts = all
metadata = {a.dir}/metadata
[Account all]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {a.dir}/near
sep = /
[Repository far]
type = IMAP
remotehost = {a.host}
remoteport = {a.port}
remoteuser = {a.user}
remotepass = pass
sslcacertfile = {a.ca}
folderfilter = lambda folder: folder in ["INBOX", "Lists", "Lists/imap", "{SHARED}"]
ssl = {"yes" if a.transport == "TLS" else "no"}
starttls = no
""")
    return ["offlineimap", "-c", rc, "-o", "-u", "basic"]


def near(a, mailbox="INBOX"):
    return glob.glob(f"{a.dir}/near/{mailbox}/cur/*") + glob.glob(f"{a.dir}/near/{mailbox}/new/*")


def contents(paths):
    found = []
    for path in paths:
        with open(path, "rb") as f:
            found.append(f.read())
    return mail.contents(found, b"X-OfflineIMAP")


def use(a, sent):
    """All comes here; then each side changes, and both become one."""
    once(a)
    check("messages", contents(near(a)), mail.contents(sent))
    check("shared", contents(near(a, SHARED)), mail.contents([sent[0]]))
    check("folders", os.path.isdir(f"{a.dir}/near/Lists/cur"), a.options.opened)
    [gone] = [path for path in near(a) if re.search(r",U=(\d+),", path)[1] == uid(a, 1)]
    os.remove(gone)
    with open(f"{a.dir}/near/INBOX/new/1700000000.1.here", "wb") as f:
        f.write(mail.text(mail.message(11).content))
    with a.login() as c:
        ok(c.store("4", "+FLAGS", r"\Deleted"))
        ok(c.expunge())
        ok(c.append("INBOX", None, sent[0].date, mail.message(10).content))
    want = mail.contents([m for m in sent if m not in (sent[1], sent[3])] + [mail.message(10), mail.message(11)])
    once(a)
    check("messages here", contents(near(a)), want)
    check("messages there", mail.contents(a.messages(), b"X-OfflineIMAP"), want)
    before = near(a), a.messages()
    once(a)
    check("nothing changes", (near(a), a.messages()), before)


def uid(a, n):
    return str(a.messages()[n].uid)


def once(a):
    good(*args(a))


def fetch(a):
    return refused(*args(a))


search = None  # it never does
