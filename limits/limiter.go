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
	"github.com/imapgate/imapgate/internal/clock"
	"github.com/imapgate/imapgate/internal/progress"
	"github.com/imapgate/imapgate/internal/socket"
)

// NewSessionFunc is the type of the NewSession function of [imapserver.Options].
type NewSessionFunc = func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error)

// A Limiter limits the sessions of every NewSession function that it wraps, all together. It is
// safe for concurrent use.
type Limiter struct {
	changing sync.Mutex // held while options are applied
	settings atomic.Pointer[settings]

	sessions    registry[*session]
	connections admission.Counter[netip.Prefix]
	ending      admission.Counter[netip.Prefix] // refused ones still open, all under the zero key
	logins      admission.Logins[*session]
	checks      queue // of passwords
	guessing    queue // logins from networks that sent wrong passwords
	guesses     admission.Guesses
	delayed     atomic.Int64 // logins that wait because of wrong passwords
	joining     atomic.Int64 // logins that wait for the cluster, after their check
	fetches     queue
	searches    queue
	commands    queue // all others
	keys        admission.Keys
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

// client is a connection's client: what it is counted as, what its limits are, and whether it is
// still connected.
type client struct {
	limiter *Limiter
	conn    *imapserver.Conn
	remote  netip.AddrPort
	addr    netip.Addr
	ip      netip.Prefix // what addr is counted as
	// socket is found when the connection is new. After STARTTLS it may be hidden.
	socket *socket.Socket

	activity activity
	presence presence
	upload   upload
	leaves   atomic.Bool // it is being told BYE

	// Only the connection's goroutine changes the identity. SetOptions also recomputes the limits.
	identity atomic.Pointer[identity]
	limits   atomic.Pointer[clientLimits]
}

// identity is what LimitsFor learns of a client.
type identity struct {
	user string
	tls  bool
}

// session is a session with limits. Fields without a lock or atomic belong to the connection's
// goroutine.
type session struct {
	imapserver.Session
	client

	id uint64

	user      string                     // key of who is logged in, "" if none or not known
	turn      *admission.Key             // as whom it takes turns in the queues; nil before login
	login     *admission.Login[*session] // nil if nobody is logged in
	lease     lease                      // of the cluster
	failed    int                        // number of logins with wrong credentials
	account   account                    // whose mail this is; the name is empty if not known
	mailbox   mailbox                    // the selected one
	began     clock.Instant              // the SEARCH; zero if it has waited
	search    *part                      // of the current SEARCH; nil until the first
	delimiter string                     // of mailbox names, "" before the backend was asked
	exchange  interface{ drop() }        // of SASL, still running or abandoned; nil if none
	notice    *progress.Notice           // the client's progress notices; nil until the first
	whenLost  func()                     // the method value of lost, allocated once
	ending    atomic.Pointer[ending]     // set when the connection is about to be closed

	// guessesKnown is closed when the wrong passwords on other machines are known; nil if they already
	// are.
	guessesKnown <-chan struct{}

	timers    sync.Mutex
	bye       *time.Timer // closes the connection after a refusal
	noLogin   *time.Timer // closes it after LoginTimeout
	connected time.Time   // when LoginTimeout began to count
	endsBy    time.Time   // when a refused connection is closed; zero if it was not refused
	loggedIn  bool
	closed    bool

	stopsFetch, stopsSearch bool // the backend accepts a context

	releaseConnection func() // nil if the connection is not counted
}

// stalls checks the connections on which a command runs at intervals, and closes those whose client
// takes or sends too little. It has a timer only while commands run.
type stalls struct {
	watching atomic.Bool
}

// ending is why a connection is about to be closed. Until it is, each login on it gets the answer,
// and nothing reaches the backend.
type ending struct {
	answer *imap.Error
	text   string // of the BYE
	armed  bool   // the BYE is on its way; guarded by session.timers
}

// presence lets a command that waits or runs learn that its client is gone. Meanwhile nobody reads
// from the connection.
type presence struct {
	mu   sync.Mutex
	lost func() // of the current command, nil if there is none

	// outer is the context that another Limiter around this one gave the command. When it ends, the
	// command counts as one whose client is gone. It is nil without such a Limiter, and belongs to the
	// connection's goroutine.
	outer context.Context
}
