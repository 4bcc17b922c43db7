"""mbsync, of the package isync"""

import glob
import os
import re
import shutil

import mail
from call import check, good, refused
from server import SHARED, ok

NAME = "mbsync"

# imapmemserver spells the flags in lower case, which is as good as any (RFC 9051 section 2.3.2), but mbsync does not know them then, and
# takes them away on its own side. So where flags are the question it is told of them as most servers would.
RESPELL = r"sed -u '/^\* [0-9]* FETCH\|FLAGS/ { s/\\seen/\\Seen/; s/\\flagged/\\Flagged/; s/\\answered/\\Answered/; s/\\draft/\\Draft/; s/\\deleted/\\Deleted/ }'"


def args(a, where):
    os.makedirs(f"{a.dir}/near", exist_ok=True)
    rc = a.write("mbsyncrc", f"""IMAPAccount far
{where}
User {a.user}
Pass pass

IMAPStore far
Account far

MaildirStore near
Path {a.dir}/near/
Inbox {a.dir}/near/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
""")
    return ["mbsync", "-q", "-c", rc, "all"]


def direct(a):
    tls = {"plain": "None", "TLS": "IMAPS", "STARTTLS": "STARTTLS"}[a.transport]
    return args(a, f"Host {a.host}\nPort {a.port}\nSSLType {tls}\nCertificateFile {a.ca}")


def respelled(a):
    path = a.write("tunnel", f"openssl s_client -quiet -verify_quiet -verify_return_error -CAfile {a.ca} -connect {a.host}:{a.port} | {RESPELL}\n")
    return args(a, f'Tunnel "sh {path}"')


def use(a, sent):
    shared = mail.message(0)
    sync(a, direct(a), a.many, [], shared)
    if a.transport == "TLS":
        sync(a, respelled(a), 10, [r"\flagged", r"\seen"], shared)


def sync(a, call, size, flags, shared):
    """Two mailboxes become one, and stay so; then each changes, and again."""
    far, near = ([mail.message(n, flags if n % 3 == 0 else []) for n in numbers] for numbers in [range(size // 2), range(size // 2, size)])
    a.server.fill(a.user, far)
    shutil.rmtree(f"{a.dir}/near", ignore_errors=True)
    for sub in ["cur", "new", "tmp"]:
        os.makedirs(f"{a.dir}/near/INBOX/{sub}")
    for m in near:
        deliver(a, m)
    both(a, call, far + near)
    folders = {os.path.relpath(os.path.dirname(path), f"{a.dir}/near") for path in glob.glob(f"{a.dir}/near/**/cur", recursive=True)}
    check("folders", folders, set(a.options.listed) - a.options.noselect)
    check("shared", comparable(maildir(a, SHARED)), comparable([shared]))

    # Near: 1 is deleted, 2 gets flags, one is new. Far: 3 is deleted, 4 gets flags, one is new.
    path = {int(re.search(rb"<(\d+)@", read(path))[1]): path for path in paths(a)}
    os.remove(path[1])
    if flags:
        os.rename(path[2], path[2].split(":2,")[0] + ":2,FS")
    near.append(mail.message(size + 1))
    deliver(a, near[-1])
    far.append(mail.message(size, flags))
    with a.login() as c:
        ok(c.append("INBOX", f"({' '.join(flags)})", far[-1].date, far[-1].content))
        ok(c.store("4", "+FLAGS", r"\Deleted"))
        ok(c.expunge())
        if flags:
            ok(c.store("4", "+FLAGS", f"({' '.join(flags)})"))
    want = [m._replace(flags=frozenset(flags)) if m in [far[2], far[4]] else m for m in far + near if m not in [far[1], far[3]]]
    both(a, call, want)


def both(a, call, want):
    """Sync, after which both sides have what is wanted; and again, which changes nothing."""
    want = comparable(want)
    once(a, call)
    check("messages here", comparable(maildir(a)), want)
    there = a.messages()
    check("messages there", comparable(there), want)
    here = tree(a)
    once(a, call)
    check("nothing changes here", tree(a), here)
    check("nothing changes there", a.messages(), there)


def once(a, call):
    for path in glob.glob(f"{a.dir}/near/**/", recursive=True):
        os.utime(path, (0, 0))  # in a folder that has just changed it would wait for a second
    good(*call)


def comparable(messages):
    """Without the field that mbsync adds to what it copies."""
    return sorted((re.sub(rb"(?m)^X-TUID: .*\n", b"", mail.text(m.content)), sorted(m.flags)) for m in messages)


def tree(a):
    """All files, with what is in them."""
    return {path: read(path) for path in glob.glob(f"{a.dir}/near/**", recursive=True, include_hidden=True) if os.path.isfile(path)}


def paths(a, mailbox="INBOX"):
    return glob.glob(f"{a.dir}/near/{mailbox}/cur/*") + glob.glob(f"{a.dir}/near/{mailbox}/new/*")


LETTERS = {"F": r"\flagged", "S": r"\seen"}


def maildir(a, mailbox="INBOX"):
    return [mail.Message(read(path), [LETTERS[letter] for letter in path.split(":2,")[1]], None)
            for path in paths(a, mailbox)]


def deliver(a, m):
    letters = "FS" if m.flags else ""
    number = re.search(rb"<(\d+)@", m.content)[1].decode()
    with open(f"{a.dir}/near/INBOX/cur/{1700000000 + int(number)}.{number}.here:2,{letters}", "wb") as f:
        f.write(mail.text(m.content))


def read(path):
    with open(path, "rb") as f:
        return f.read()


def fetch(a):
    return refused(*direct(a))


search = None  # it never does
