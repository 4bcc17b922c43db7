"""openssl s_client, into which somebody types"""

import re

from call import Running, check
from server import SHARED

NAME = "openssl s_client"
TRANSPORTS = ["TLS", "STARTTLS"]


def client(a):
    secure = ["-starttls", "imap"] if a.transport == "STARTTLS" else []
    return Running("openssl", "s_client", "-connect", f"{a.host}:{a.port}", *secure, "-CAfile", a.ca, "-verify_return_error",
                   "-quiet", "-ign_eof", "-crlf")


def use(a, sent):
    with client(a) as c:
        # All in one go, as no other client here does.
        c.send(f"a LOGIN {a.user} pass\nb SELECT INBOX\nc UID FETCH 1:* BODY.PEEK[]\nd SEARCH SUBJECT odd\n"
               f'e STORE 2 +FLAGS.SILENT (\\Seen \\Flagged)\nf COPY 2 Sent\ng LIST "" *\ni EXAMINE Lists\nj EXAMINE "{SHARED}"\n')
        c.wait_for(r"(?m)^j OK .*\r\n")
        out = c.output
        literals, rest = [], out
        while match := re.search(rb"BODY\[\] \{(\d+)\}\r\n", rest):
            end = match.end() + int(match[1])
            literals.append(rest[match.end():end])
            rest = rest[end:]
        check("messages", literals, [m.content for m in sent])
        check("SEARCH", b"* SEARCH 2 4 6 8 10\r\n" in rest, True)
        check("LIST", sorted(re.findall(r'^\* LIST \(.*\) "/" "?(.*?)"?\r$', rest.decode(), re.M)), a.options.listed)
        check("a parent", re.search(rb"(?m)^i (OK|NO)", rest)[1], b"OK" if a.options.opened else b"NO")
        a.options.check_copy(a, sent[1], [r"\flagged", r"\seen"])

        c.send("k SELECT INBOX\nl IDLE\n")
        if a.options.idle:
            c.wait_for(r"(?m)^\+ idling\r\n")
            a.server.append(a.user, sent[0])
            c.wait_for(rf"(?m)^\* {len(sent) + 1} EXISTS\r\n")
            c.send("DONE\n")
            c.wait_for(r"(?m)^l OK ")
        else:
            c.wait_for(r"(?m)^l BAD Unknown command\r\n")
        c.send("m LOGOUT\n")
        c.wait_for(r"(?m)^\* BYE Logging out\r\nm OK ")
        check("exit status", c.end()[0], 0)


def refused(a, commands):
    with client(a) as c:
        c.send(commands)
        return c.end()[1].decode()


def fetch(a):
    return refused(a, f"a LOGIN {a.user} pass\nb SELECT INBOX\nc FETCH 1 BODY[]\nd LOGOUT\n")


def search(a):
    return refused(a, f"a LOGIN {a.user} pass\nb SELECT INBOX\nc SEARCH SUBJECT odd\nd LOGOUT\n")
