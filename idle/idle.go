// Package idle decides how IDLE (RFC 2177, RFC 9051 section 6.3.13) is served: by the backend, by
// polling it, or not at all.
//
//	newSession = idle.Wrap(newSession, &idle.Options{Mode: idle.Poll, PollInterval: time.Second})
//
// [Wrap] works on sessions, which is enough for [On] and [Poll]. go-imap advertises IDLE and
// answers "+ idling" before it asks the session, so a session alone cannot make IDLE disappear. To
// make it disappear use [github.com/imapgate/imapgate.Server], or NewListener of that package,
// which take it off the wire too.
//
// # Users
//
// A user is the name that the client has logged in with. Names are equal if they differ only in
// case, in full-width forms of ASCII characters or in the space around them. The name is not known
// after a PREAUTH greeting, after a SASL mechanism of the session other than PLAIN, and after a
// PLAIN that names somebody else to act as. All sessions without a name count as one user, unless
// [Options.Username] knows who it is.
//
// # Polls
//
// So that sessions do not poll together, the first wait is a random part of PollInterval, and each
// later one is up to a tenth shorter than it. A session over MaxPerUser waits four times as long,
// until there is room. With MaxPolls, sessions are polled first come first served, and the next
// wait begins when the poll has ended. A client is told what is new when its turn is over, so that
// one that does not read keeps nobody waiting.
//
// A poll tells what the backend's Poll tells. With a backend whose Poll has nothing new, because it
// looks for news in its Idle only, clients hear of new mail when they select the mailbox again.
package idle

import (
	"fmt"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"golang.org/x/sync/semaphore"
)

// NewSessionFunc is what an [imapserver.Server] calls for each connection.
type NewSessionFunc = func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error)

// Mode is how IDLE is served.
type Mode int

const (
	// On leaves IDLE to the backend.
	On Mode = iota
	// Poll lets clients IDLE and calls the backend's Poll now and then, never its Idle.
	Poll
	// Off never calls the backend's Idle. A client that sends IDLE hears nothing until it sends DONE.
	// Then it gets what one Poll tells, and [ErrOff]. In an imapgate.Server IDLE is not advertised,
	// and is refused at once.
	Off
)

// DefaultPollInterval is the PollInterval of Options that do not set one.
const DefaultPollInterval = 30 * time.Second

// slowdown is how many times longer than the others a session waits that is over MaxPerUser.
const slowdown = 4

// Options say how IDLE is served. The zero value leaves everything to the backend.
type Options struct {
	// Mode is how IDLE is served to all users, if ModeFor is nil. The zero value is [On].
	Mode Mode
	// ModeFor, if it is not nil, decides instead of Mode, whenever an IDLE begins. The user is "" if
	// the name is not known. A Mode that does not exist is served as [Off]. ModeFor is called from
	// many goroutines at once.
	ModeFor func(user string) Mode `toml:"-"`
	// Username, if it is not nil, returns who is logged in, or "" if it does not know, whenever an
	// IDLE begins. It gets the backend's session, without the wrappers of this module. It is called
	// from many goroutines at once.
	Username func(session imapserver.Session) string `toml:"-"`
	// PollInterval is the longest time between two polls of a session in IDLE: from 1 ms to 24 h. Zero
	// means [DefaultPollInterval].
	PollInterval time.Duration
	// MaxPerUser is how many sessions of one user may be in IDLE at once. The others are not refused,
	// but polled less often. Zero means no limit.
	MaxPerUser int
	// MaxPolls is how many sessions of all users may be polled at the same moment, so that thousands
	// do not ask the database together. The others wait for their turn. Zero means no limit.
	MaxPolls int
	// MaxDuration is how long one IDLE may take. Then an untagged BYE ends the connection. Zero means
	// no limit but that of go-imap: 35 minutes without a byte from the client.
	MaxDuration time.Duration
}

// Validate returns an error that names the first field whose value is a mistake, and the value.
func (o *Options) Validate() error {
	switch {
	case o.Mode < On || o.Mode > Off:
		return fmt.Errorf("idle: Mode is %d, which is none of On, Poll and Off", o.Mode)
	case o.PollInterval != 0 && (o.PollInterval < time.Millisecond || o.PollInterval > 24*time.Hour):
		return fmt.Errorf("idle: PollInterval is %v, not between 1ms and 24h", o.PollInterval)
	case o.MaxPerUser < 0:
		return fmt.Errorf("idle: MaxPerUser is %d, which is negative", o.MaxPerUser)
	case o.MaxPolls < 0:
		return fmt.Errorf("idle: MaxPolls is %d, which is negative", o.MaxPolls)
	case o.MaxDuration < 0:
		return fmt.Errorf("idle: MaxDuration is %v, which is negative", o.MaxDuration)
	}
	return nil
}

// Wrap returns a NewSession function whose sessions serve IDLE as the options say. Nil options
// equal the zero value; they are copied. Wrap panics with the error of [Options.Validate].
// MaxPerUser and MaxPolls count the sessions of this one Wrap.
//
// The sessions have exactly the optional interfaces of those that next makes. A poll never runs at
// the same time as another method of its session, not even when a client sends the next command
// without DONE. With [On] that is up to the backend.
func Wrap(next NewSessionFunc, options *Options) NewSessionFunc {
	var o Options
	if options != nil {
		o = *options
	}
	if err := o.Validate(); err != nil {
		panic(err)
	}
	if o.Mode == On && o.ModeFor == nil && o.MaxPerUser == 0 && o.MaxDuration == 0 {
		return next
	}
	if o.PollInterval == 0 {
		o.PollInterval = DefaultPollInterval
	}
	users := newUsers(o.MaxPerUser)
	var polls *semaphore.Weighted
	if o.MaxPolls > 0 {
		polls = semaphore.NewWeighted(int64(o.MaxPolls))
	}
	return func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		inner, greeting, err := next(conn)
		if err != nil {
			if inner != nil {
				inner.Close() // go-imap does not
			}
			return nil, nil, err
		}
		return newSession(inner, conn, &o, users, polls), greeting, nil
	}
}
