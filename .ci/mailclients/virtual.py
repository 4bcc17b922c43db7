"""A mailbox that has others below it goes away, so that it becomes a virtual folder, and comes back: the mail that clients have stays."""

import glob
import os
import re
import shutil
import tempfile

import call
import mail
import mbsync
from call import check, good, refused
from server import Account, Server, ok

# What is real first, with mail in it. The UIDVALIDITY of Old is 1: it was INBOX. Away comes back as it was, the others are made anew.
MAILBOXES = ["Archive", "Old", "Away"]


def keep_all(dir):
    """The client has the mail of each mailbox. It becomes a virtual folder, and real again, with the same mail."""
    with tempfile.TemporaryDirectory(dir=dir) as history:
        for client in [Mbsync, Offlineimap]:
            for flags in [[], ["-virtual-folders", "noselect"], ["-virtual-folders-history", f"{history}/{client.__name__}"]]:
                call.story[:] = [f"{client.__name__}, server with {' '.join(flags) or 'no options'}"]
                with Server(dir, flags, ["karen"]) as server:
                    account = Account(server, "karen", "plain")
                    client(account, flags).keep()
                call.story.append("the server begins anew, and without a file it knows nothing of the mailboxes")
                with Server(dir, flags, ["karen"]) as server:
                    account.server, account.port = server, server.ports["plain"]
                    client(account, flags).keep_after_restart()


class Client:
    def __init__(self, account, flags):
        self.a, self.opened, self.known = account, not flags, "-virtual-folders-history" in flags
        self.mail = [mail.message(n) for n in [0, 1, 2]]

    def keep(self):
        with self.a.login() as c:
            ok(c.rename("INBOX", "Old"))
            for mailbox in ["INBOX", "Old/below", "Away", "Away/below"]:
                ok(c.create(mailbox))
        for mailbox in MAILBOXES:
            self.fill(mailbox)
        good(*self.args())
        self.check_all("it has all")
        with self.a.login() as c:
            for mailbox in MAILBOXES[:2]:
                ok(c.delete(mailbox))
            ok(c.rename("Away", "Elsewhere"))
        for _ in range(2):
            self.while_virtual()
            self.check_all("nothing is deleted")
        with self.a.login() as c:
            ok(c.rename("Elsewhere", "Away"))
        call.run(*self.args())
        self.check_all("nothing is deleted when one of them is back")
        check("nor there", mail.contents(self.a.messages("Away"), ADDED), mail.contents(self.mail))
        with self.a.login() as c:
            for mailbox in ["Archive", "Old", "Lists"]:  # the last one was virtual from the beginning
                status, [text] = c.create(mailbox)
                # A client that does not see it may have made it.
                check(f"{mailbox} exists", status == "OK" or b"ALREADYEXISTS" in text, True)
        for mailbox in ["Archive", "Old", "Lists"]:
            self.fill(mailbox)
        self.when_real()

    def keep_after_restart(self):
        """What was real is virtual, before anybody has looked at it."""
        with self.a.login() as c:
            ok(c.rename("Archive", "Elsewhere"))
            for mailbox in ["Old/below", "Away/below"]:
                ok(c.create(mailbox))
        if not self.known:
            return self.after_restart()
        mailboxes = [*MAILBOXES, "Lists"]
        before = [self.contents(mailbox) for mailbox in mailboxes]
        check("it has mail in each", all(before), True)
        for _ in range(2):
            self.while_virtual()
            check("nothing is deleted", [self.contents(mailbox) for mailbox in mailboxes], before)

    def fill(self, mailbox):
        self.a.server.fill(self.a.user, self.mail, mailbox)

    def check_all(self, what, mailboxes=MAILBOXES):
        for mailbox in mailboxes:
            check(f"{what}: {mailbox}", self.contents(mailbox), mail.contents(self.mail))

    def contents(self, mailbox):
        """What the client has in a mailbox."""
        found = []
        for path in glob.glob(f"{self.a.dir}/near/{mailbox}/cur/*") + glob.glob(f"{self.a.dir}/near/{mailbox}/new/*"):
            with open(path, "rb") as f:
                found.append(f.read())
        return mail.contents(found, ADDED)


# What the clients add to a message.
ADDED = b"X-TUID|X-OfflineIMAP"


class Mbsync(Client):
    def args(self):
        return mbsync.direct(self.a)

    def while_virtual(self):
        text = refused(*self.args())
        for mailbox in MAILBOXES:
            check(f"it is told of {mailbox}", f"box {mailbox} cannot be opened" in text, True)

    def when_real(self):
        call.run(*self.args())
        self.check_all("all is there, once", ["Archive", "Away", "Lists"])
        self.check_all("nothing is deleted, although it cannot match the UIDs", ["Old"])

    def after_restart(self):
        text = refused(*self.args())
        for mailbox in MAILBOXES:
            words = f"box {mailbox}: Unable to recover from UIDVALIDITY change" if self.opened else f"box {mailbox} cannot be opened"
            check(f"it is told of {mailbox}", words in text, True)
        self.check_all("nothing is deleted")


class Offlineimap(Client):
    def args(self):
        rc = self.a.write("offlineimaprc", f"""[general]
accounts = all
metadata = {self.a.dir}/metadata
[Account all]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {self.a.dir}/near
sep = /
[Repository far]
type = IMAP
createfolders = no
remotehost = {self.a.host}
remoteport = {self.a.port}
remoteuser = {self.a.user}
remotepass = pass
ssl = no
starttls = no
""")
        return ["offlineimap", "-c", rc, "-o", "-u", "basic"]

    def while_virtual(self):
        good(*self.args())

    def when_real(self):
        shutil.rmtree(f"{self.a.dir}/metadata")  # as its manual says
        good(*self.args())
        for mailbox in [*MAILBOXES, "Lists"]:
            check(f"all is there: {mailbox}", set(mail.contents(self.mail)) <= set(self.contents(mailbox)), True)

    def after_restart(self):
        if not self.opened:
            before = [self.contents(mailbox) for mailbox in MAILBOXES]
            good(*self.args())
            check("nothing is deleted", [self.contents(mailbox) for mailbox in MAILBOXES], before)
            return
        # It says that it skips the folder, and then empties it nevertheless, whatever the UIDVALIDITY, as it does with every server on
        # which a mailbox is made anew. But it has noticed.
        text = refused(*self.args())
        for mailbox in MAILBOXES:
            check(f"it is told of {mailbox}", bool(re.search(f"UID validity problem for folder {mailbox} .*got 2147483646", text)), True)
