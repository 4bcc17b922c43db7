"""fdm"""

import os

from call import check, good, run
from mail import contents
from server import SHARED

NAME = "fdm"


def args(a, folder="INBOX", *more):
    server = f'{"imaps" if a.transport == "TLS" else "imap"} server "{a.host}" port {a.port} user "{a.user}" pass "pass" folder "{folder}"'
    rc = a.write("fdm.conf", f"""set lock-file "{a.dir}/lock"
set default-user "{os.environ.get("USER", "root")}"
set no-received
action "keep" maildir "{a.dir}/got"
account "far" {server} {"starttls" if a.transport == "STARTTLS" else ""}
match all action "keep"
""")
    return ["fdm", "-f", rc, *more, "fetch"]


def got(a):
    return contents(a.files("got/new/*"))


def use(a, sent):
    good(*args(a, "INBOX", "-k"))
    check("messages", got(a), contents(sent))
    good(*args(a, SHARED, "-k"))
    check("shared", got(a), contents([sent[0]]))
    check("a parent", b"No such mailbox" in run(*args(a, "Lists"))[1], not a.options.opened)
    # Without -k they are gone then.
    good(*args(a))
    check("messages", got(a), contents(sent))
    check("what is left", a.messages(), [])


def fetch(a):
    """Its exit status is 0 all the same."""
    return run(*args(a))[1].decode()


search = fetch  # which it begins with a SEARCH
