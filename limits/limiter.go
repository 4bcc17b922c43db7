package limits

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/admission"
	"github.com/imapgate/imapgate/internal/progress"
	"github.com/imapgate/imapgate/internal/socket"
)

// NewSessionFunc is the type of the NewSession function of [imapserver.Options].
type NewSessionFunc = func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error)

// A Limiter limits the sessions of every NewSession function that it wraps, together. It may be
// used from several goroutines at once.
type Limiter struct {
	changing sync.Mutex // held while options are applied
	settings atomic.Pointer[settings]

	sessions    registry[*session]
	connections admission.Counter[netip.Prefix]
	ending      admission.Counter[netip.Prefix] // those that were refused, all under the zero key
	logins      admission.Logins[*session]
	checks      queue // of passwords
	guessing    queue // … of networks from which there were wrong ones
	guesses     admission.Guesses
	delayed     atomic.Int64 // logins that wait because of them
	fetches     queue
	searches    queue
	commands    queue // all others
	flights     admission.Flights[flightKey, *imap.SearchData]
	stalls      stalls
	watcher     socket.Watcher
	counts      counts

	open      context.Context // ends with ErrClosed at Close
	shut      context.CancelCauseFunc
	closed    atomic.Bool
	lastID    atomic.Uint64 // of a session
	backends  atomic.Uint64 // numbers the calls of Wrap
	anonymous atomic.Uint64 // numbers the connections that have neither a user nor an address
}

// client is the other end of a connection: what it is counted by, what its limits are, and whether
// it is still there.
type client struct {
	limiter *Limiter
	conn    *imapserver.Conn
	remote  netip.AddrPort
	addr    netip.Addr
	ip      netip.Prefix // what addr is counted as
	turn    string       // the key of whose turn it takes in the queues
	// socket is taken when the connection is new: after STARTTLS it may not be found any more.
	socket *socket.Socket

	activity activity
	presence presence
	upload   upload

	// Only the goroutine of the connection changes the identity; SetOptions computes the limits
	// anew.
	identity atomic.Pointer[identity]
	limits   atomic.Pointer[clientLimits]
}

// identity is who a client is to LimitsFor.
type identity struct {
	user string
	tls  bool
}

// session is a session with limits. What is not locked or atomic belongs to the goroutine that
// serves the connection.
type session struct {
	imapserver.Session
	client

	id uint64

	user      string                     // the key of who is logged in, "" if nobody or not known
	login     *admission.Login[*session] // nil if nobody is logged in
	lease     lease                      // of the cluster
	failed    int                        // logins with wrong credentials
	account   account                    // whose mail this is; without a name if not known
	mailbox   mailbox                    // the one that is selected
	delimiter string                     // of the mailboxes' names, "" if nobody has asked yet
	exchange  interface{ drop() }        // of SASL, which goes on or was broken off; nil if none
	notice    *progress.Notice           // tells the client of a command; nil until one is told of
	whenLost  func()                     // lost, made once
	ending    atomic.Pointer[ending]     // set when the connection is about to be closed

	// guessesKnown is closed when the wrong passwords on other machines are known; nil if they are.
	guessesKnown <-chan struct{}

	timers    sync.Mutex
	bye       *time.Timer // ends the connection after a refusal
	noLogin   *time.Timer // ends it when LoginTimeout is over
	connected time.Time   // from when LoginTimeout counts
	loggedIn  bool
	closed    bool

	stopsFetch, stopsSearch bool // the backend takes a context

	releaseConnection func()    // nil if the connection is not counted
	endsBy            time.Time // when a connection that was not admitted is closed; zero if it was
}

// stalls looks now and then at the connections on which a command runs, and closes those whose
// client takes or sends too little. It has a timer only while commands run.
type stalls struct {
	watching atomic.Bool
}

// ending is why a connection is about to be closed. Until then every login on it gets the answer,
// and nothing reaches the backend.
type ending struct {
	answer *imap.Error
	text   string // of the BYE
	armed  bool   // the BYE is on its way; guarded by session.timers
}

// presence is what the goroutine of a connection hears of its client while a command waits or runs,
// when nobody reads from the connection: whether it is gone.
type presence struct {
	mu   sync.Mutex
	lost func() // of the command that goes on, nil if there is none

	// outer is what another Limiter, around this one, gave the command: when it ends, the client is as
	// good as gone. It is nil if there is none, and belongs to the goroutine of the connection.
	outer context.Context
}
