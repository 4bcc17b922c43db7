"""Messages, to be put somewhere and found unchanged elsewhere."""

import collections
import re

Message = collections.namedtuple("Message", "content flags date uid", defaults=[None])

DATE = '"16-Oct-2025 08:12:31 +0200"'

# What a client, a proxy or package idle might take for something else, one a message.
BODIES = [
    "Hello\n",
    "From the start of a line, which an mbox quotes\n",
    ".\n..\n.dot\n\n.\n",
    "a1 IDLE\nDONE\n* CAPABILITY IMAP4rev1 IDLE\n* BYE\na1 OK done\n",
    "a literal {3}\nor {3+}\n~{3}\n)\n",
    '"quoted" \\ and not"\n\n\n\n',
    "x" * 900 + "\n",
    "Umlaute ÄÖÜ, 日本語, 🐟\n",
    "\n",
    "line\n" * 20000,
]


def message(n, flags=()):
    """The nth message, always the same, with CRLF line ends."""
    text = f"""From: Sender {n} <sender{n}@example.org>
To: reader@example.org
Subject: {'odd' if n % 2 else 'even'} number {n}
Date: Thu, 16 Oct 2025 08:12:31 +0200
Message-ID: <{n}@example.org>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

{BODIES[n % len(BODIES)]}"""
    return Message(text.replace("\n", "\r\n").encode(), frozenset(flags), DATE)


def parse(item):
    """A message out of imaplib's answer to FETCH (UID FLAGS INTERNALDATE BODY.PEEK[])."""
    head, content = item
    head = head.decode()
    flags = frozenset(re.search(r"FLAGS \((.*?)\)", head)[1].lower().split())
    return Message(content, flags, re.search(r"INTERNALDATE (\".*?\")", head)[1], int(re.search(r"UID (\d+)", head)[1]))


def contents(messages, added=b"\0"):
    """What is to be the same on both sides: the contents, in any order, whatever the line ends, without the header fields that a client
    has added."""
    return sorted(re.sub(rb"(?m)^(%s): .*\n" % added, b"", text(m.content if isinstance(m, Message) else m)) for m in messages)


def text(content):
    return content.replace(b"\r\n", b"\n")
