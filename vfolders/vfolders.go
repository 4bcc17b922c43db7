// Package vfolders shows and opens parent folders that do not exist.
//
//	newSession = vfolders.Wrap(newSession, &vfolders.Options{Prefixes: []string{"#users"}})
//
// A user may read "#users/Karen/Inbox" while neither "#users" nor "#users/Karen" is a mailbox. Some
// clients cannot draw such a tree, or fail when the user opens the parent. [Wrap] makes these
// parents virtual folders: LIST shows them, and they can be opened as folders without messages.
//
// A virtual folder is every name above one that the backend's LIST shows to the user, at the
// delimiter that the backend reports, when LIST shows no selectable mailbox of that name. So it
// comes with its first child and goes with its last, and it reveals nothing that LIST does not. The
// backend is asked anew for each command. INBOX is never a virtual folder, nor is a name with a
// NUL, a line break or malformed UTF-8 in it. Of a name of more than 20 levels only the first 20
// can be.
//
// # What a client sees
//
// LIST has each virtual folder that matches once, with \HasChildren, before what is below it, and
// at the end where nothing below it is listed. An entry of the backend's for it that has \Noselect
// or \NonExistent is rewritten where it is. All other mailboxes are as the backend wrote them, in
// its order. References and patterns are read as [imapserver.MatchList] does, which adds a missing
// delimiter to the end of a reference, and drops the reference, and the delimiter, from a pattern
// that begins with one.
//
// A virtual folder is subscribed to if the backend says so, and not because a mailbox below it is.
// Of the latter LIST tells by CHILDINFO, where RECURSIVEMATCH asks for it (RFC 9051 section 6.3.9),
// and LSUB by an entry with \Noselect (RFC 3501 section 6.3.9), as long as that mailbox is not
// listed itself.
//
// SELECT, EXAMINE and STATUS find no messages, UIDVALIDITY 2147483646 and UIDNEXT 1. Hardly a real
// mailbox has that UIDVALIDITY, so that a client can see that a virtual folder and a mailbox of the
// same name are not the same, and has no reason to delete what it has. It cannot also
// grow from one mailbox of that name to the next, as RFC 9051 section 2.3.1.1 asks.
//
// While a virtual folder is selected the backend has no mailbox selected, and is told nothing of
// what the client does with it. A client that still has one selected when it becomes real sees the
// messages when it selects it again. The OK of SELECT says READ-WRITE, as the server always does,
// unless the connection can put READ-ONLY there, as package imapgate's does.
//
// What changes a folder, the backend is asked for first: it may create or rename what is virtual
// until then, or keep a subscription to it. Where it refuses that, and says nothing else than that
// there is no such mailbox, or that it cannot or must not be done, the answer is [ErrExists] for
// CREATE and for RENAME to a virtual folder, and [ErrCannot] for RENAME and DELETE of one, APPEND,
// COPY and MOVE into it, SUBSCRIBE and UNSUBSCRIBE. A COPY or MOVE from a virtual folder has
// nothing to copy and succeeds, whatever its destination.
//
// # A mailbox that goes away
//
// A mailbox that goes away while there are others below it becomes a virtual folder. A client that
// has a copy of its mail should keep that, and not take the empty folder for the mailbox. So a name
// that is known to have been a mailbox of the user is listed with \Noselect while it is that of a
// virtual folder: mbsync and offlineimap3 do not touch their copies then. SELECT, EXAMINE and
// STATUS find an empty folder all the same, for clients that do not look at LIST.
//
// Known are the names with which SELECT, EXAMINE, STATUS or DELETE of any session of the user has
// succeeded, and those of mailboxes with others below them that a LIST has shown, LSUB and
// selection options aside. Users differ by their name, the address of the server without its port,
// and its TLS name. Where [Options.Username] returns a name, users differ by that alone. It is
// needed where the address of the server changes at a restart, as that of a container does. It is
// also needed after PREAUTH, and after SASL mechanisms of the backend other than PLAIN: of users
// whose own name is not known no names are.
//
// The names are in a [History], which [Options.History] keeps over a restart:
//
//	history, err := vfolders.OpenHistory("/var/lib/imap/history", nil)
//
// Without it they are in memory, for each Wrap. The server of package imapgate keeps them over
// SetOptions, but a restart makes it forget. If then a mailbox goes away before a client has looked
// at it again, it becomes an empty folder with another UIDVALIDITY: mbsync notices, and keeps its
// copy; offlineimap3 notices, and empties it nevertheless, as it does with every server on which a
// mailbox is made anew. The mode NoSelect spares its users that.
//
// A History keeps keyed hashes of at most 256 K names of all users, in 8 MB of memory, and the
// least recently used go first. A user who opens thousands of mailboxes makes it forget those of
// one in 64 others. A name that it knows stays \Noselect as long as it is that of a virtual folder.
//
// # The file of a History
//
// The file has at most 4 MB. What is new is appended to it in the background, once a second at
// most, and synced. So no command waits for the disk, and a crash, also one of the machine, loses
// what was seen in the last second. If the disk is full or fails, no command does: the logger of
// [OpenHistory] is told, and the whole file is written when that is possible again, which is tried
// each minute. The folder must allow that: when the file is large enough it is replaced by a new
// one, whose name ends in ".new" until it is complete.
//
// One process at a time can use a file. The file beside it whose name ends in ".lock" sees to that,
// but not on Windows. Several servers in one process can have the same History if their backend is
// the same.
//
// The key of the hashes is in the file. Whoever can read it can find out whether a user had a
// mailbox, by guessing its name; the file can only be read by its owner.
//
// # The roots of namespaces
//
// A name that the session's Namespace announces, such as "#users" for the prefix "#users/", is
// listed with \Noselect, because some clients open it by a wrong name. SELECT, EXAMINE and STATUS
// find an empty folder there, even when nothing below it is shown to the user.
//
// # What it costs
//
// The backend is asked first, and for its LIST only when it may have said that it has no such
// mailbox: by a NO, or, to SELECT, EXAMINE and STATUS, by an error of Go, such as that of a file
// that does not exist. Commands about a mailbox of the backend cost nothing more.
//
// A LIST whose own answer does not tell about all that is below it is followed by one for that.
// LIST "" % is the dearest: a folder may be missing above any mailbox, and no pattern finds only
// those where one is, so that the backend has to list them all, although the client reads a few
// lines. With 10,000 mailboxes in memory that takes 13 to 17 times what LIST "" % alone does, and
// less than half of what LIST "" * does. No wrapper could come below five times: that is what the
// backend alone needs to find and sort them, before it writes a line. [Options.Prefixes] narrows
// it. All other LISTs take at most half as much again for each line of the answer, virtual folders
// included.
//
// The answer is collected in memory before the client gets it; [Options.MaxTotalMemory] bounds what
// that takes. The LISTs of one user have half of it at most, or a single larger one, so that others
// find room; a user is the name of a login, or what [Options.Username] says. Where there is none, a
// LIST waits for its turn, first come first served, for up to 30 s, or until its client hangs up,
// which only Linux tells. A client that takes more than 20 s to read its answer while others wait
// loses its connection.
package vfolders

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/keep"
	"github.com/imapgate/imapgate/internal/socket"
)

// NewSessionFunc is what an [imapserver.Server] calls for each connection.
type NewSessionFunc = func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error)

// Mode says what virtual folders are to a client.
type Mode int

const (
	// Selectable makes them ordinary folders that happen to have no messages.
	Selectable Mode = iota
	// NoSelect makes them names in LIST only, with \NonExistent (RFC 9051 section 7.3.1) for a client
	// that enabled IMAP4rev2 or sent an extended LIST, or else \Noselect. SELECT, EXAMINE and STATUS
	// get the backend's answer, which is that there is none.
	NoSelect
)

// Options are the settings of [Wrap]. The zero value makes all virtual folders selectable.
type Options struct {
	// Mode says whether a virtual folder can be selected. The zero value is Selectable.
	Mode Mode
	// Prefixes are the subtrees that virtual folders are limited to, such as "#users", each with its
	// root, with or without a delimiter at the end. Outside of them every command is the backend's.
	// Empty means everywhere.
	Prefixes []string
	// History remembers which names have been mailboxes, so that no client takes a virtual folder for
	// one of them. Nil means one in memory for each [Wrap], or for each server of package imapgate.
	// See "A mailbox that goes away" above.
	History *History `toml:"-"`
	// Username, if not nil, returns whose mailboxes a backend session (without this module's wrappers)
	// has, as a name that nobody else on the backend has, or "" if it does not know. It is called once
	// after a login, from many goroutines at once. See History, and "What it costs" above.
	Username func(session imapserver.Session) string `toml:"-"`
	// MaxTotalMemory bounds the bytes of the answers to LIST that are held in memory, by all sessions
	// of one [Wrap] together: see "What it costs" above. Beyond it: [ErrTooManyLists], or
	// [ErrListTooLarge] for one that is larger by itself. Zero means no limit.
	MaxTotalMemory int64
}

// Validate returns an error that names the first field with a value that makes no sense, or nil.
func (o *Options) Validate() error {
	if o.Mode != Selectable && o.Mode != NoSelect {
		return fmt.Errorf(
			"vfolders: Options.Mode is %d, which is neither Selectable nor NoSelect", o.Mode,
		)
	}
	if o.MaxTotalMemory < 0 {
		return fmt.Errorf("vfolders: Options.MaxTotalMemory is %d, which is negative", o.MaxTotalMemory)
	}
	for _, prefix := range o.Prefixes {
		if prefix == "" || !utf8.ValidString(prefix) || strings.ContainsAny(prefix, forbidden) {
			return fmt.Errorf(
				"vfolders: Options.Prefixes contains %q, which no mailbox name can begin with", prefix,
			)
		}
	}
	return nil
}

// Wrap returns a NewSession function whose sessions are those of next with virtual folders. They
// have exactly the optional interfaces of those. Nil options are the zero Options; they are copied.
// Wrap panics with the error of [Options.Validate]. The function may be called for any number of
// connections at once.
func Wrap(next NewSessionFunc, options *Options) NewSessionFunc {
	var o Options
	if options != nil {
		o = *options
		o.Prefixes = slices.Clone(options.Prefixes)
	}
	if err := o.Validate(); err != nil {
		panic(err)
	}
	memory := newMemory(o.MaxTotalMemory)
	history := o.History
	if history == nil && o.Mode == Selectable { // in the mode NoSelect nothing depends on it
		history = new(History)
	}
	return func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		inner, greeting, err := next(conn)
		if err != nil {
			if inner != nil {
				inner.Close() // the server does so only for those that come without an error
			}
			return nil, nil, err
		}
		outer := &session{Session: inner, conn: conn, options: &o, memory: memory, history: history}
		if memory != nil && conn != nil {
			outer.socket = socket.Of(conn.NetConn())
		}
		return keep.Optional(outer, inner), greeting, nil
	}
}

// session is a session of the backend, with virtual folders.
type session struct {
	imapserver.Session
	conn    *imapserver.Conn
	options *Options
	memory  *memory
	history *History       // nil: nothing is remembered
	socket  *socket.Socket // nil: no LIST waits, or the connection cannot tell
	who     who
	// virtual is set while a virtual folder is selected, and so nothing in the backend. It is
	// atomic because a command can begin while an Idle that was not ended properly still runs.
	virtual atomic.Bool
}
