"""mutt, whose keys are pressed as soon as it is ready for them"""

from call import Running, check, good
from mail import contents, text
from server import SHARED

NAME = "mutt"


def args(a, mailbox, *more):
    tls = "yes" if a.transport == "STARTTLS" else "no"
    rc = a.write("muttrc", f"""
set imap_user={a.user} imap_pass=pass folder={a.url()} spoolfile={a.url('INBOX')}
set ssl_starttls={tls} ssl_force_tls={tls} certificate_file={a.ca}
set mbox_type=Maildir confirmcreate=no confirmappend=no copy=no delete=yes quit=yes resolve=no mark_old=no header_cache= tmpdir={a.dir}
set imap_idle timeout=1 beep=no sleep_time=0
set sendmail=true from=mutt@example.org
unset wait_key
""")
    return ["env", "TERM=vt100", "mutt", "-n", "-F", rc, "-f", a.url(mailbox), *more]


def keys(a, mailbox, keys):
    with Running(*args(a, mailbox, "-e", f"push '{keys}'"), terminal=True) as c:
        status, output = c.end()
        check("exit status of mutt", status, 0)
        return output.decode()


def got(a, folder):
    return contents(a.files(folder + "/*/*"), b"Content-Length|Lines")


def use(a, sent):
    keys(a, "INBOX", f"<tag-pattern>~A<enter><tag-prefix><copy-message>{a.dir}/all<enter><quit>")
    check("messages", got(a, "all"), contents(sent))
    keys(a, "INBOX", f"<tag-pattern>=b Umlaute<enter><tag-prefix><copy-message>{a.dir}/found<enter><quit>")
    check("search", got(a, "found"), contents([sent[7]]))
    keys(a, SHARED, f"<copy-message>{a.dir}/shared<enter><quit>")
    check("shared", got(a, "shared"), contents([sent[0]]))
    parent = keys(a, "Lists", "<quit>")
    check("a parent", "No such mailbox" in parent, not a.options.opened)

    keys(a, "INBOX", "2<enter><flag-message><copy-message>=Sent<enter><delete-message><quit>")
    a.options.check_copy(a, sent[1], [r"\flagged", r"\seen"])
    check("deleted", [m.content for m in a.messages()], [m.content for m in sent[:1] + sent[2:]])
    good(*args(a, "INBOX", "-e", "set record==Drafts copy=yes", "-s", "By mutt", "somebody@example.org"), input=b"Hello\n")
    check("APPEND", [text(m.content).split(b"\n\n", 1)[1] for m in a.messages("Drafts")], [b"Hello\n"])

    with Running(*args(a, "INBOX"), terminal=True) as c:
        c.wait_for(r"Msgs:9")
        a.server.append(a.user, sent[1])
        c.wait_for(r"New mail in this mailbox")
        c.send("q")
        check("exit status of mutt", c.end()[0], 0)


def fetch(a):
    return typed(a, "INBOX")


def search(a):
    return typed(a, "Trash", "l=b Umlaute\r")


def typed(a, mailbox, keys=""):
    """What is on the screen until somebody leaves. It is typed: after an error mutt forgets what is pushed."""
    with Running(*args(a, mailbox), terminal=True) as c:
        if keys:
            c.wait_for("q:Quit")
            c.send(keys)
        c.press("q")
        return c.end()[1].decode()
