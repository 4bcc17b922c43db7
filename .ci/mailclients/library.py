"""What programs find that use a library of IMAP: they all do the same with it."""

from call import check
from mail import contents


def check_library(a, sent, got, messages, shared):
    """What the program has found, and what it leaves."""
    check("messages", messages, [m.content for m in sent])
    check("shared", contents(shared), contents([sent[0]]))
    check("SEARCH", got["found"], [2, 4, 6, 8, 10])
    check("LIST", sorted(box["path"] for box in got["list"]), a.options.listed)
    check("folders not to be opened", {box["path"] for box in got["list"] if box["noselect"]}, a.options.noselect)
    check("a parent is opened", got["parent"] == "opened", a.options.opened)
    check("APPEND", [m.content for m in a.messages("Drafts")], [sent[2].content])
    check("MOVE", [m.content for m in a.messages("Trash")], [sent[2].content])
    check("MOVE takes away", got["exists"], len(sent) - 1)
    check("what is left", [m.content for m in a.messages()][:len(sent) - 1], [m.content for m in sent if m != sent[2]])
    a.options.check_copy(a, sent[1], [r"\flagged", r"\seen"])
