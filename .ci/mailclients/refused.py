"""What a person reads in each client when a limit refuses: the table in examples/server/README.md has the words."""

import contextlib
import re
import select
import socket

import call
from call import check
from server import TRANSPORTS, Account, Server

# The last column has what a client reads that does not bear words of progress before a refusal, or "the same".
PROGRESS = "… after words of progress"
PROGRESS_FLAGS = ["-progress-interval", "100ms", "-fetch-queue-timeout", "1s"]


def table(text):
    """The cells of the table, by client and column."""
    lines = re.search(r"^(\| *\| too many logins(?:.*\n)*?)(?:\n|\Z)", text, re.M)[1].splitlines()
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {row[0]: dict(zip(head, row)) for row in rows}


def words(cell, transport):
    """The words in a cell, as patterns."""
    rest, _, starttls = cell.partition("; with STARTTLS ")
    quoted = re.findall("`(.*?)`", starttls if starttls and transport == "STARTTLS" else rest)
    return [re.escape(text).replace("…", ".*") for text in quoted]


def refuse_all(dir, clients, text):
    cells = table(text)
    check("clients in the table", set(cells), {client.NAME for client in clients})
    for column, (flags, hold) in COLUMNS.items():
        with refusing(dir, flags, hold) as server:
            for client in clients:
                transports = getattr(client, "TRANSPORTS", TRANSPORTS)
                for transport in transports if hold is hold_connection else transports[:1]:
                    refuse(client, server, transport, column, cells[client.NAME][column])
    column = "the queue of FETCH was too long"
    flags, hold = COLUMNS[column]
    with refusing(dir, flags + PROGRESS_FLAGS, hold) as server:
        for client in clients:
            cell = cells[client.NAME][PROGRESS]
            refuse(client, server, getattr(client, "TRANSPORTS", TRANSPORTS)[0], column, cells[client.NAME][column] if cell == "the same" else cell)


@contextlib.contextmanager
def refusing(dir, flags, hold):
    with Server(dir, flags, ["karen"]) as server, hold(server):
        yield server


def refuse(client, server, transport, column, cell):
    call.story[:] = [f"{client.NAME} over {transport}, {column}"]
    ask = client.search if "SEARCH" in column else client.fetch
    wanted = words(cell, transport)
    if ask is None:
        check(f"words that {client.NAME} reads", wanted, [])
        return
    said = ask(Account(server, "karen", transport))
    for pattern in wanted:
        check(f"{client.NAME} over {transport} says {pattern} when there are {column}, in:\n{said}\n", bool(re.search(pattern, said)), True)


def hold_connection(server):
    return server.login("karen")


@contextlib.contextmanager
def hold_fetch(server):
    """Somebody does not read the answer to a FETCH. The mailbox has been deleted meanwhile: imapmemserver locks it, and LIST would wait."""
    with connection(server) as first, connection(server) as second:
        content = b"\r\n" + b"x" * (20 << 20)
        ask(first, b"CREATE held")
        ask(first, b"APPEND held {%d}" % len(content), "+ ")
        ask(first, content)
        ask(first, b"SELECT held")
        ask(first, b"DELETE held")
        ask(first, b"FETCH 1 BODY[]", "FETCH")
        ask(second, b"FETCH 1 UID", "x NO [LIMIT]")
        yield


@contextlib.contextmanager
def hold_search(server):
    """Two connections want the only place; the one that is not refused has it."""
    with connection(server) as first, connection(server) as second:
        for c in first, second:
            c.sendall(b"x SEARCH ALL\r\n")
        [refused, *_], _, _ = select.select([first, second], [], [], call.TIMEOUT)
        read(refused, "x NO [LIMIT]")
        yield


def connection(server):
    c = socket.create_connection(("127.0.0.1", server.ports["plain"]), call.TIMEOUT)
    ask(c, b"LOGIN karen pass")
    ask(c, b"SELECT INBOX")
    return c


def ask(c, command, until="x OK"):
    c.sendall((b"" if command.startswith(b"\r\n") else b"x ") + command + b"\r\n")
    read(c, until)


def read(c, until):
    got = ""
    while until not in got:
        more = c.recv(1 << 16).decode()
        if not more:
            raise AssertionError(got)
        got += more


# By column of the table, a server that refuses everybody but who is there already, and what that one does.
COLUMNS = {
    "too many logins": (["-max-logins-per-user", "1"], hold_connection),
    "too many connections": (["-max-connections-per-ip", "1"], hold_connection),
    "the queue of FETCH was too long": (["-max-fetches-per-user", "1", "-fetch-queue-timeout", "300ms", "-stall-timeout", "0"], hold_fetch),
    "the queue of SEARCH was too long": (["-max-searches-per-user", "1", "-search-queue-timeout", "300ms", "-delay", "1m"], hold_search),
}
