"""fetchmail"""

import mail
from call import Running, check, good, refused
from server import SHARED

NAME = "fetchmail"


def args(a, words, *more):
    tls = {"plain": "sslproto ''", "TLS": "ssl", "STARTTLS": "sslproto TLS1.2+"}[a.transport]
    rc = a.write("fetchmailrc", f"""set no bouncemail
set invisible
poll {a.host} service {a.port} protocol IMAP auth password user {a.user} password pass {tls} sslcertck sslcertfile {a.ca}
	no rewrite mda "cat >$(mktemp -p {a.dir} got.XXXXXX)" {words}
""")
    return ["fetchmail", "-f", rc, "--nosyslog", "--nodetach", "--pidfile", f"{a.dir}/pid", "--idfile", f"{a.dir}/ids", *more]


def use(a, sent):
    good(*args(a, "keep fetchall"))
    check("messages", mail.contents(a.files("got.*")), mail.contents(sent))
    good(*args(a, f'fetchall keep folder "{SHARED}"'))
    check("shared", mail.contents(a.files("got.*")), mail.contents([sent[0]]))
    # Those that are new, which takes a SEARCH; and then they are gone.
    with a.login() as c:
        c.store("1:8", "-FLAGS", r"\Seen")
    good(*args(a, "no keep"))
    check("new messages", mail.contents(a.files("got.*")), mail.contents(sent[:8]))
    check("what is left", [m.content for m in a.messages()], [m.content for m in sent[8:]])
    if a.options.idle:
        with Running(*args(a, "keep idle", "-v")) as c:
            c.wait_for(r"IMAP> A\d+ IDLE")
            a.server.append(a.user, sent[3])
            c.wait_for(r"IMAP> DONE")
            c.wait_for(r"IMAP> A\d+ IDLE")
        check("message in IDLE", mail.contents(a.files("got.*")), mail.contents([sent[3]]))


def fetch(a):
    return refused(*args(a, "keep fetchall"))


def search(a):
    """There is nothing to read without -v: it asks for the flags of all messages instead."""
    with Running(*args(a, "keep"), "-v") as c:
        c.wait_for(r"IMAP< A\d+ NO \[LIMIT\] Too many concurrent searches")
        c.wait_for(r"IMAP> A\d+ FETCH .*FLAGS")
    return ""
