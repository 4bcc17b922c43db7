"""Runs each client against each configuration of the server, and against its limits."""

import multiprocessing
import os
import signal
import sys
import traceback

import call
import curl
import fdm
import fetchmail
import imapflow
import javamail
import mail
import mbsync
import mutt
import offlineimap
import openssl
import php
import python
import refused
import thunderbird
import virtual
from call import check
from server import FOLDERS, PARENTS, SHARED, TRANSPORTS, Account, Server

CLIENTS = [curl, mbsync, offlineimap, python, mutt, fetchmail, fdm, openssl, imapflow, javamail, php]


class Options:
    """What the server is started with, and what follows from it."""

    def __init__(self, *flags):
        self.flags = flags
        self.idle = "off" not in flags[flags.index("-idle"):][:2] if "-idle" in flags else True
        self.virtual = flags[flags.index("-virtual-folders") + 1] if "-virtual-folders" in flags else "selectable"
        # Where IDLE is off, TLS and STARTTLS are served in another way.
        self.every_transport = not flags or not self.idle
        self.reset = "-copy-date" in flags
        self.opened = self.virtual == "selectable"
        # The first parent is the root of a namespace.
        self.noselect = {"noselect": set(PARENTS), "selectable": {PARENTS[0]}, "off": set()}[self.virtual]
        self.listed = sorted(FOLDERS + [SHARED] + (PARENTS if self.virtual != "off" else []))

    def check_copy(self, account, original, flags):
        """The message in Sent is a copy of the original with these flags."""
        [copy] = account.messages("Sent")
        check("content of a copy", copy.content, original.content)
        check("flags of a copy", copy.flags, frozenset([] if self.reset else flags))
        check("date of a copy is the original's", copy.date == original.date, not self.reset)


CONFIGURATIONS = [
    Options(),
    Options("-idle", "poll", "-idle-poll-interval", "50ms"),
    Options("-idle", "off"),
    Options("-virtual-folders", "noselect"),
    Options("-virtual-folders", "off"),
    Options("-copy-date", "reset", "-copy-flags", "reset"),
    Options("-max-connections", "10", "-max-connections-per-ip", "10", "-max-logins-per-user", "4", "-max-logins-per-ip", "4",
            "-max-fetches", "1", "-max-searches", "1", "-max-waiting", "1"),
]


def use_all(dir, options, transports):
    """Use each client over the first of these transports that it has, or over all of them; mbsync over the first with many messages."""
    users = {}
    for client in CLIENTS:
        able = [transport for transport in transports if transport in getattr(client, "TRANSPORTS", TRANSPORTS)]
        for transport in able if options.every_transport else able[:1]:
            users[f"{client.__name__}-{transport}"] = client, transport
    sent = [mail.message(n, [r"\seen"]) for n in range(10)]
    with Server(dir, options.flags, users) as server:
        for user, (client, transport) in users.items():
            call.story[:] = [f"{client.NAME} over {transport}, server with {' '.join(options.flags) or 'no options'}"]
            server.fill(user, sent)
            server.fill("owner", [mail.message(0)], "Archive")
            account = Account(server, user, transport, options)
            account.many = 500 if transport == transports[0] else 10
            client.use(account, sent)


def job(function, args, slots, results):
    """Report how many checks have passed, or 0 when one has not."""
    passed = 0
    try:
        with slots:
            function(*args)
        passed = call.checks
    except Exception:
        print("", *call.story, traceback.format_exc(), sep="\n", flush=True)
    finally:
        results.put(passed)


def main(dir):
    signal.signal(signal.SIGALRM, call.too_late)
    with open("examples/server/README.md") as f:
        words = f.read()
    os.chdir(dir)
    jobs = [(refused.refuse_all, (dir, CLIENTS, words)), (virtual.keep_all, (dir,)), (thunderbird.open_all, (dir,))]
    for number, options in enumerate(CONFIGURATIONS):
        first = number % len(TRANSPORTS)
        jobs.append((use_all, (dir, options, TRANSPORTS[first:] + TRANSPORTS[:first])))
    fork = multiprocessing.get_context("fork")
    slots, results = fork.Semaphore(4), fork.SimpleQueue()  # most of the time goes by with waiting
    for function, args in jobs:
        fork.Process(target=job, args=(function, args, slots, results), daemon=True).start()
    checks = 0
    for _ in jobs:
        passed = results.get()
        if not passed:
            sys.exit(1)
        checks += passed
    print(f"clients: {checks} checks passed")


if __name__ == "__main__":
    main(sys.argv[1])
