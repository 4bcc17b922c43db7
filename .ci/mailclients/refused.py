"""What a person reads in each client when a limit refuses: a table of the README has the words."""

import contextlib
import re
import select
import socket

import call
from call import check
from server import TRANSPORTS, Account, Server

# By column of the table, a server that refuses everybody but who is there already, and what that one does.
COLUMNS = {
    "too many logins": (["-max-logins-per-user", "1"], None),
    "too many connections": (["-max-connections-per-ip", "1"], None),
    "the queue of FETCH was too long": (["-max-fetches-per-user", "1", "-fetch-queue-timeout", "300ms"], "FETCH 1 UID"),
    "the queue of SEARCH was too long": (["-max-searches-per-user", "1", "-search-queue-timeout", "300ms"], "SEARCH ALL"),
}
SLOW = ["-delay", "1m"]
PROGRESS = ["-progress-interval", "100ms", "-fetch-queue-timeout", "1s"]


def table(readme):
    """The cells of the table, by client and column."""
    lines = re.search(r"### What people read\n(?:.*\n)*?\n?(\|(?:.*\n)*?)\n", readme)[1].splitlines()
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {row[0]: dict(zip(head, row)) for row in rows}


def words(cell, transport):
    """The words in a cell, as patterns."""
    rest, _, starttls = cell.partition("; with STARTTLS ")
    quoted = re.findall("`(.*?)`", starttls if starttls and transport == "STARTTLS" else rest)
    return [re.escape(text).replace("…", ".*") for text in quoted]


def refuse_all(dir, clients, readme):
    cells = table(readme)
    check("clients in the README", set(cells), {client.NAME for client in clients})
    for column, (flags, command) in COLUMNS.items():
        with refusing(dir, flags, command) as server:
            for client in clients:
                transports = getattr(client, "TRANSPORTS", TRANSPORTS)
                for transport in transports[:1] if command else transports:
                    refuse(client, server, transport, column, cells[client.NAME][column])
    # The same after words of progress, which only fetchmail does not bear, as the README says below the table.
    column = "the queue of FETCH was too long"
    flags, command = COLUMNS[column]
    with refusing(dir, flags + PROGRESS, command) as server:
        for client in clients:
            cell = re.search("fetchmail reads (`.*?`)", readme)[1] if client.NAME == "fetchmail" else cells[client.NAME][column]
            refuse(client, server, getattr(client, "TRANSPORTS", TRANSPORTS)[0], column, cell)


@contextlib.contextmanager
def refusing(dir, flags, command):
    with Server(dir, flags + (SLOW if command else []), ["karen"]) as server:
        with held(server, command) if command else server.login("karen"):
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


@contextlib.contextmanager
def held(server, command):
    """Two connections want the only place; the one that is not refused has it."""
    with connection(server) as first, connection(server) as second:
        for c in first, second:
            c.sendall(f"x {command}\r\n".encode())
        [refused, *_], _, _ = select.select([first, second], [], [], call.TIMEOUT)
        read(refused, "x NO [LIMIT]")
        yield


def connection(server):
    c = socket.create_connection(("127.0.0.1", server.ports["plain"]), call.TIMEOUT)
    for n, command in enumerate(["LOGIN karen pass", "SELECT INBOX"]):
        c.sendall(f"{n} {command}\r\n".encode())
        read(c, f"{n} OK")
    return c


def read(c, until):
    got = ""
    while until not in got:
        more = c.recv(1 << 16).decode()
        if not more:
            raise AssertionError(got)
        got += more
